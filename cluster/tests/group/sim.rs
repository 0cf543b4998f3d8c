//! Members that come, hang, die and ask twice, a coordinator that dies, in any order: nobody has a
//! part of another generation, nobody commits for an old one, and in the end everyone has a part.
//!
//! `CLASSIC_GROUP_SEEDS=1000000 cargo test --release -p milena-cluster --test group sim` plays as
//! many schedules.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_cluster::coordinator::Ticket;
use milena_cluster::group::Settings;
use milena_protocol::error_code::ErrorCode;

use super::bugs::Bug;
use super::simulation::rng::Rng;
use super::simulation::{self, Outcome, Report, quietly};
use super::world::{Joiner, SESSION_MS, World};

const SEEDS: u64 = 300;
const MEMBERS: usize = 4;
const STEPS: usize = 120;

/// What a client believes.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    Out,
    Joining(Ticket),
    /// It is in a generation, and knows the ids of all if it leads.
    Joined(i32, Vec<String>),
    Syncing(Ticket, i32),
    Stable(i32),
}

struct Client {
    joiner: Joiner,
    phase: Phase,
    /// The newest generation that it heard of.
    newest: i32,
}

struct Run {
    world: World,
    clients: Vec<Client>,
    /// The part that each member was told in each generation.
    parts: BTreeMap<(i32, String), String>,
    /// By generation, who has each part.
    owners: BTreeMap<(i32, String), String>,
    newest: i32,
    is_traced: bool,
    report: Report,
}

impl Run {
    fn new(rng: &mut Rng, is_traced: bool) -> Self {
        let delay = Duration::from_millis(rng.below(2) * 3_000);
        let world = World::with(Settings { initial_rebalance_delay: delay, ..Settings::default() });
        let clients = (0..MEMBERS).map(|index| {
            let named = index == 0 && rng.chance(500);
            let version = rng.pick(&[2, 5, 9]).copied().unwrap_or_default();
            let joiner = if named { Joiner::named("static") } else { Joiner::new() };
            Client {
                joiner: Joiner { version: version.max(if named { 5 } else { 0 }), ..joiner },
                phase: Phase::Out,
                newest: 0,
            }
        });
        let clients = clients.collect();
        let (parts, owners) = (BTreeMap::new(), BTreeMap::new());
        Self { world, clients, parts, owners, newest: 0, is_traced, report: Report::default() }
    }

    fn meet(&mut self, what: &'static str) {
        *self.report.met.entry(what).or_default() += 1;
        self.trace(|_| what.to_owned());
    }

    fn trace(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.is_traced {
            let line = format!("{:>8} {}", self.world.now().instant.0, line(self));
            self.report.transcript.push(line);
        }
    }

    /// One client does what it does next.
    fn act(&mut self, index: usize) {
        self.report.steps += 1;
        let world = &mut self.world;
        let client = &mut self.clients[index];
        match std::mem::take(&mut client.phase) {
            Phase::Out => client.phase = Phase::Joining(world.send_join(&client.joiner)),
            Phase::Joining(ticket) => match world.joined(ticket) {
                None => client.phase = Phase::Joining(ticket),
                Some(answer) if answer.error_code.is_none() => {
                    client.joiner.id = answer.member_id.to_string();
                    // What others heard meanwhile may be newer, but not what it heard itself.
                    assert!(answer.generation_id >= client.newest, "generations do not go back");
                    client.newest = answer.generation_id;
                    self.newest = self.newest.max(answer.generation_id);
                    let ids = answer.members.iter().map(|member| member.member_id.to_string());
                    client.phase = Phase::Joined(answer.generation_id, ids.collect());
                }
                Some(answer) => after(client, answer.error_code, answer.member_id.as_str()),
            },
            Phase::Joined(generation, ids) => {
                let parts: Vec<(String, String)> =
                    ids.into_iter().map(|id| (id.clone(), format!("{generation} {id}"))).collect();
                let parts: Vec<(&str, &str)> = parts.iter().map(|(a, b)| (&**a, &**b)).collect();
                let ticket = world.send_sync(&client.joiner.id, generation, &parts);
                client.phase = Phase::Syncing(ticket, generation);
            }
            Phase::Syncing(ticket, generation) => match world.synced(ticket) {
                None => client.phase = Phase::Syncing(ticket, generation),
                Some(answer) if answer.error_code.is_none() => {
                    let part = String::from_utf8(answer.assignment.to_vec()).unwrap();
                    self.own(index, generation, part);
                    self.clients[index].phase = Phase::Stable(generation);
                }
                Some(answer) => after(client, answer.error_code, ""),
            },
            Phase::Stable(generation) => {
                let code = world.heartbeat(&client.joiner.id, generation);
                if code.is_none() {
                    assert_eq!(generation, self.newest, "an older generation is told to join");
                    client.phase = Phase::Stable(generation);
                } else {
                    after(client, code, "");
                }
            }
        }
    }

    /// Notes what a member was told to have; in a generation nothing is told to two.
    fn own(&mut self, index: usize, generation: i32, part: String) {
        let id = self.clients[index].joiner.id.clone();
        let before = self.parts.insert((generation, id.clone()), part.clone());
        assert!(before.is_none_or(|before| before == part), "a part does not change");
        if part.is_empty() {
            return;
        }
        // A static member's part stays when another takes its name and place.
        let is_static = self.clients[index].joiner.instance_id.is_some();
        let owner = self.owners.insert((generation, part), id.clone());
        assert!(is_static || owner.is_none_or(|owner| owner == id), "one part, two members");
    }

    fn play(&mut self, rng: &mut Rng) {
        for _ in 0..STEPS {
            let index = rng.below(MEMBERS as u64) as usize;
            match rng.below(20) {
                0 => {
                    self.meet("silence");
                    self.world.pass(rng.within(1, SESSION_MS as u64 * 2));
                }
                1 => {
                    self.meet("coordinator died");
                    self.world.crash();
                    // Answers that were under way are lost with the connections.
                    for client in &mut self.clients {
                        if matches!(client.phase, Phase::Joining(_) | Phase::Syncing(..)) {
                            client.phase = Phase::Out;
                        }
                    }
                }
                // It gives up waiting and asks again, or starts anew.
                2 => {
                    self.meet("gave up");
                    self.clients[index].phase = Phase::Out;
                }
                3 => {
                    self.meet("started anew");
                    let client = &mut self.clients[index];
                    client.joiner.id.clear();
                    client.phase = Phase::Out;
                }
                4 => {
                    self.meet("left");
                    let id = self.clients[index].joiner.id.clone();
                    self.world.leave(&id);
                    self.clients[index].joiner.id.clear();
                    self.clients[index].phase = Phase::Out;
                }
                5 => self.ask_late(index),
                _ => {
                    self.world.pass(rng.below(500));
                    self.act(index);
                    self.trace(|run| format!("{index} is {:?}", run.clients[index].phase));
                }
            }
        }
    }

    /// What a member asked in the generation before arrives only now.
    fn ask_late(&mut self, index: usize) {
        let client = &self.clients[index];
        if client.newest < 2 || client.joiner.id.is_empty() {
            return;
        }
        let code = self.world.heartbeat(&client.joiner.id, client.newest - 1);
        assert!(!code.is_none(), "an older generation goes on");
        self.meet("late request");
    }

    /// Without further trouble everyone gets a part.
    fn heal(&mut self) {
        for _ in 0..400 {
            for index in 0..self.clients.len() {
                self.act(index);
            }
            self.world.pass(1_000);
            let settled = |client: &Client| match client.phase {
                Phase::Stable(generation) => generation == self.newest,
                _ => false,
            };
            if self.clients.iter().all(settled) {
                return;
            }
        }
        panic!("the group does not settle");
    }
}

/// What a client does about an error.
fn after(client: &mut Client, code: ErrorCode, id: &str) {
    client.phase = Phase::Out;
    match code {
        ErrorCode::MEMBER_ID_REQUIRED => client.joiner.id = id.to_owned(),
        ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_INSTANCE_ID => client.joiner.id.clear(),
        ErrorCode::ILLEGAL_GENERATION | ErrorCode::REBALANCE_IN_PROGRESS => {}
        other => panic!("{other}"),
    }
}

/// Runs seeds with a bug.
fn run(bug: Bug) -> impl Fn(u64, bool) -> Outcome {
    move |seed, is_traced| {
        let mut rng = Rng::new(seed);
        let mut run = Run::new(&mut rng, is_traced);
        run.world.plant(bug);
        let violation = quietly(|| {
            run.play(&mut rng);
            run.heal();
            Ok(())
        });
        let millis = run.world.elapsed_ms();
        (Report { millis, ..run.report }, violation.err())
    }
}

/// Groups would share partitions twice, or never come to rest.
#[test]
fn groups_come_to_rest_with_each_part_given_once() {
    let expected =
        ["coordinator died", "gave up", "late request", "left", "silence", "started anew"];
    simulation::holds("CLASSIC_GROUP", SEEDS, run(Bug::None), &expected);
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    simulation::repeats(run(Bug::None));
}

fn found(name: &str, bug: Bug) -> bool {
    simulation::finds("CLASSIC_GROUP", name, run(bug))
}

/// The checks would see nothing, and their silence mean nothing.
#[test]
fn planted_bugs_are_found() {
    let found = [
        found("the beginning of a generation is not written", Bug::GenerationNotRecorded),
        found("unwritten records count", Bug::UnwrittenCounts),
        found("an older generation goes on", Bug::NoGenerationFence),
        found("nobody is told to join", Bug::NobodyIsTold),
    ];
    assert!(found.iter().all(|found| *found), "a planted bug was not found");
}
