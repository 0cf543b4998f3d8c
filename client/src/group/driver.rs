//! What runs a member's machine: one task that asks the coordinator, passes the time, and carries
//! notices to the application and its wishes back. It has no rules of its own but which protocol
//! is spoken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::ApiKey;
use milena_protocol::api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use milena_protocol::api::join_group::JoinGroupRequest;
use milena_protocol::api::sync_group::SyncGroupRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Uuid;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::classic::ClassicMember;
use super::member::Member;
use super::options::{GroupOptions, GroupProtocol, Subscription};
use super::step::{Input, Notice, Output, Question, Reply, Standing};
use crate::client::{Client, Topics};
use crate::connection::Connection;
use crate::entropy::Entropy;
use crate::error::ClientError;

/// How long to wait before names or counts are asked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The application's end of the driver. Without it the member leaves.
#[derive(Debug)]
pub struct Link {
    pub wishes: mpsc::UnboundedSender<Input>,
    pub notices: mpsc::UnboundedReceiver<Notice>,
    pub standing: watch::Receiver<Standing>,
}

/// Begins a membership. Must be called on a tokio runtime.
pub fn start(client: &Client, options: GroupOptions, rack: &str, wanted: Subscription) -> Link {
    let (wishes, wished) = mpsc::unbounded_channel();
    let (tell, notices) = mpsc::unbounded_channel();
    let (stand, standing) = watch::channel(Standing::default());
    let driver = Driver {
        // A question may be held back by the coordinator, and everything behind it.
        client: client.apart(),
        options,
        rack: rack.to_owned(),
        wanted,
        machine: None,
        coordinator: None,
        tasks: JoinSet::new(),
        outputs: VecDeque::new(),
        wished,
        tell,
        stand,
        heard_at: Instant::now(),
    };
    tokio::spawn(driver.run());
    Link { wishes, notices, standing }
}

/// A member of either protocol.
enum Machine {
    Consumer(Member),
    Classic(ClassicMember),
}

impl Machine {
    fn step(&mut self, now: Instant, input: Input, outputs: &mut Vec<Output>) {
        match self {
            Self::Consumer(member) => member.step(now, input, outputs),
            Self::Classic(member) => member.step(now, input, outputs),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Consumer(member) => member.deadline(),
            Self::Classic(member) => member.deadline(),
        }
    }
}

struct Driver {
    client: Client,
    options: GroupOptions,
    rack: String,
    wanted: Subscription,
    machine: Option<Machine>,
    coordinator: Option<Arc<Connection>>,
    tasks: JoinSet<Event>,
    outputs: VecDeque<Output>,
    wished: mpsc::UnboundedReceiver<Input>,
    tell: mpsc::UnboundedSender<Notice>,
    stand: watch::Sender<Standing>,
    /// When the coordinator last answered, or was last complained about.
    heard_at: Instant,
}

/// What comes back from a task.
enum Event {
    /// The coordinator was found.
    Found(Result<Arc<Connection>, ClientError>),
    /// The coordinator answered, or did not.
    Replied(Result<Reply, ClientError>),
    Named(BTreeMap<Uuid, Arc<str>>),
    Counted(BTreeMap<Arc<str>, usize>),
}

impl Driver {
    async fn run(mut self) {
        self.seek();
        let mut is_left = false;
        loop {
            let deadline = self.machine.as_ref().and_then(Machine::deadline);
            let wake = async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let input = crate::select! {
                wish = self.wished.recv(), if !is_left => {
                    is_left = matches!(wish, None | Some(Input::Leave));
                    wish.unwrap_or(Input::Leave)
                }
                Some(event) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    match event.map(|event| self.heard(event)) {
                        Ok(Some(input)) => input,
                        Ok(None) => continue,
                        // A task that panicked has nothing to say.
                        Err(_) => Input::Unanswered,
                    }
                }
                () = wake => Input::Woke,
            };
            if self.machine.is_none() && !self.before(&input) {
                return;
            }
            if !self.step(input) {
                return;
            }
        }
    }

    /// While it is not known yet which protocol is spoken. Says whether to go on.
    fn before(&mut self, input: &Input) -> bool {
        match input {
            Input::Subscribed(wanted) => self.wanted = wanted.clone(),
            Input::Leave => return false,
            _ => {}
        }
        let Some(coordinator) = &self.coordinator else { return true };
        let is_served = coordinator.version_of::<ConsumerGroupHeartbeatRequest>();
        match (self.options.protocol, is_served) {
            (GroupProtocol::Classic, _) | (GroupProtocol::Auto, Err(_)) => self.begin_classic(),
            (GroupProtocol::Auto | GroupProtocol::Consumer, Ok(_)) => {
                let (options, wanted) = (self.options.clone(), self.wanted.clone());
                let now = Instant::now();
                let member = Member::new(options, &self.rack, wanted, fresh_id(), now);
                self.machine = Some(Machine::Consumer(member));
                true
            }
            (GroupProtocol::Consumer, Err(error)) => {
                let _ = self.tell.send(Notice::Failed(error));
                false
            }
        }
    }

    /// Speaks the classic protocol. Says whether that can be.
    fn begin_classic(&mut self) -> bool {
        let (options, wanted) = (self.options.clone(), self.wanted.clone());
        match ClassicMember::new(options, &self.rack, wanted, Instant::now()) {
            Ok(member) => self.machine = Some(Machine::Classic(member)),
            Err(error) => {
                let _ = self.tell.send(Notice::Failed(error));
                return false;
            }
        }
        true
    }

    /// Takes one step and does what it says. Says whether there is another one.
    fn step(&mut self, input: Input) -> bool {
        let Some(machine) = &mut self.machine else { return true };
        if let Input::Subscribed(wanted) = &input {
            self.wanted = wanted.clone();
        }
        let mut outputs = Vec::new();
        machine.step(Instant::now(), input, &mut outputs);
        self.outputs.extend(outputs);
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Ask(question) => self.ask(question),
                Output::Seek => {
                    self.coordinator = None;
                }
                Output::HangUp => {
                    self.tasks = JoinSet::new();
                    self.client = self.client.apart();
                    self.coordinator = None;
                }
                Output::Name(ids) => self.name(ids),
                Output::Count(topics) => self.count(topics),
                Output::Tell(Notice::Failed(error)) if self.may_go_back(&error) => {
                    // Nothing of the machine that failed is done any more.
                    self.outputs.clear();
                    return self.begin_classic() && self.step(Input::Woke);
                }
                // Whoever does not listen any more has left.
                Output::Tell(notice) => drop(self.tell.send(notice)),
                Output::Stand(standing) => {
                    self.stand.send_if_modified(|before| {
                        let is_new = *before != standing;
                        *before = standing;
                        is_new
                    });
                }
                Output::End => return false,
            }
        }
        true
    }

    /// Whether a broker that knows the consumer protocol does not speak it now.
    fn may_go_back(&self, error: &ClientError) -> bool {
        self.options.protocol == GroupProtocol::Auto
            && matches!(self.machine, Some(Machine::Consumer(_)))
            && error.code() == Some(ErrorCode::UNSUPPORTED_VERSION)
    }

    fn seek(&mut self) {
        let (client, group) = (self.client.clone(), self.options.group.clone());
        self.tasks.spawn(async move { Event::Found(find(&client, &group).await) });
    }

    fn ask(&mut self, question: Question) {
        let (client, group) = (self.client.clone(), self.options.group.clone());
        let known = self.coordinator.clone().filter(|coordinator| !coordinator.is_lost());
        let held = self.options.max_poll_interval;
        self.tasks.spawn(async move {
            let answer = async {
                let coordinator = match known {
                    Some(coordinator) => coordinator,
                    None => find(&client, &group).await?,
                };
                let held = held.saturating_add(client.options().connection.request_timeout);
                ask(&coordinator, question, held).await
            };
            Event::Replied(answer.await)
        });
    }

    /// What an event tells the machine, if anything.
    fn heard(&mut self, event: Event) -> Option<Input> {
        match event {
            Event::Found(Ok(coordinator)) => {
                self.coordinator = Some(coordinator);
                self.heard_at = Instant::now();
                Some(Input::Woke)
            }
            Event::Found(Err(error)) if is_passing(&error) => {
                self.complain(error);
                self.seek();
                None
            }
            Event::Found(Err(error)) => {
                let _ = self.tell.send(Notice::Failed(error));
                self.wished.close();
                None
            }
            Event::Replied(Ok(reply)) => {
                self.heard_at = Instant::now();
                Some(Input::Answered(reply))
            }
            Event::Replied(Err(error)) => {
                self.coordinator = None;
                if is_passing(&error) {
                    self.complain(error);
                } else {
                    let _ = self.tell.send(Notice::Failed(error));
                    self.wished.close();
                }
                Some(Input::Unanswered)
            }
            Event::Named(names) => Some(Input::Named(names)),
            Event::Counted(counts) => Some(Input::Counted(counts)),
        }
    }

    /// Once in the client's patience somebody hears why nothing happens.
    fn complain(&mut self, error: ClientError) {
        let patience = self.client.options().patience;
        if self.heard_at.elapsed() >= patience {
            self.heard_at = Instant::now();
            let _ = self.tell.send(Notice::Troubled(ClientError::GaveUp {
                what: format!("the coordinator of group {} did not answer", self.options.group),
                after: patience,
                last: Some(error.to_string()),
            }));
        }
    }

    fn name(&mut self, ids: BTreeSet<Uuid>) {
        let client = self.client.clone();
        self.tasks.spawn(async move {
            let known = |client: &Client| -> BTreeMap<Uuid, Arc<str>> {
                let metadata = client.metadata();
                let topics = metadata.topics.values().filter(|topic| ids.contains(&topic.id));
                topics.map(|topic| (topic.id, Arc::clone(&topic.name))).collect()
            };
            let mut names = known(&client);
            if names.len() < ids.len() {
                if client.refresh(Topics::WithIds(&ids), false).await.is_err() {
                    sleep(LOOK_AGAIN).await;
                }
                names = known(&client);
            }
            Event::Named(names)
        });
    }

    fn count(&mut self, topics: BTreeSet<Arc<str>>) {
        let client = self.client.clone();
        self.tasks.spawn(async move {
            let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
            while client.refresh(Topics::Named(&names), false).await.is_err() {
                sleep(LOOK_AGAIN).await;
            }
            let metadata = client.metadata();
            let count = |name: &Arc<str>| {
                let topic = metadata.topic(name)?;
                Some((Arc::clone(name), topic.partitions.len()))
            };
            Event::Counted(topics.iter().filter_map(count).collect())
        });
    }
}

/// Whether it is worth to ask on.
fn is_passing(error: &ClientError) -> bool {
    error.is_retriable() || matches!(error, ClientError::GaveUp { .. })
}

async fn find(client: &Client, group: &str) -> Result<Arc<Connection>, ClientError> {
    Ok(client.coordinator(group).await?.1)
}

async fn ask(
    coordinator: &Connection,
    question: Question,
    held: Duration,
) -> Result<Reply, ClientError> {
    match question {
        Question::Report(request) => {
            let version = coordinator.version_of::<ConsumerGroupHeartbeatRequest>()?;
            if version < 1 && request.subscribed_topic_regex.is_some() {
                return Err(ClientError::Unwritable {
                    api: ApiKey::ConsumerGroupHeartbeat,
                    why: "the broker is too old to subscribe by an expression".to_owned(),
                });
            }
            Ok(Reply::Report(coordinator.submit(&request, version)?.wait().await?))
        }
        Question::Join(request) => {
            let version = coordinator.version_of::<JoinGroupRequest>()?;
            let answer = coordinator.submit(&request, version)?;
            Ok(Reply::Join(answer.wait_at_most(held).await?))
        }
        Question::Sync(request) => {
            let version = coordinator.version_of::<SyncGroupRequest>()?;
            let answer = coordinator.submit(&request, version)?;
            Ok(Reply::Sync(answer.wait_at_most(held).await?))
        }
        Question::Beat(request) => Ok(Reply::Beat(coordinator.ask(&request).await?)),
        Question::Leave(request) => coordinator.ask(&request).await.map(|_| Reply::Left),
    }
}

/// A member's id, made by itself (KIP-1082).
fn fresh_id() -> String {
    loop {
        let mut bytes = [0; 16];
        for (place, half) in (0..).zip(bytes.chunks_mut(8)) {
            half.copy_from_slice(&Entropy::default().draw(place).to_be_bytes());
        }
        if let Some(id) = Uuid::from_random(bytes) {
            return id.to_string();
        }
    }
}
