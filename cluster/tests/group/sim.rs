//! Members that come, hang, die and ask twice, a coordinator that dies, in any order: nobody has a
//! part of another generation, nobody commits for an old one, and in the end everyone has a part.
//!
//! `MILENA_GROUP_SIM=1000000 cargo test --release -p milena-cluster --test group sim` plays as many
//! schedules.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_cluster::coordinator::Ticket;
use milena_cluster::group::Settings;
use milena_protocol::error_code::ErrorCode;

use super::world::{Joiner, SESSION_MS, World};

const SCHEDULES: u64 = 300;
const MEMBERS: usize = 4;
const STEPS: usize = 120;

/// A source of numbers that a seed determines.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What a client believes.
#[derive(Default)]
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
}

impl Run {
    fn new(dice: &mut Dice) -> Self {
        let delay = Duration::from_millis(dice.roll(2) * 3_000);
        let world = World::with(Settings { initial_rebalance_delay: delay, ..Settings::default() });
        let versions = [2, 5, 9];
        let clients = (0..MEMBERS).map(|index| {
            let named = index == 0 && dice.roll(2) == 0;
            let version = versions[dice.roll(3) as usize];
            let joiner = if named { Joiner::named("static") } else { Joiner::new() };
            Client {
                joiner: Joiner { version: version.max(if named { 5 } else { 0 }), ..joiner },
                phase: Phase::Out,
                newest: 0,
            }
        });
        let clients = clients.collect();
        Self { world, clients, parts: BTreeMap::new(), owners: BTreeMap::new(), newest: 0 }
    }

    /// One client does what it does next.
    fn act(&mut self, index: usize) {
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

    fn play(&mut self, dice: &mut Dice) {
        for _ in 0..STEPS {
            let index = dice.roll(MEMBERS as u64) as usize;
            match dice.roll(20) {
                0 => self.world.pass(dice.roll(SESSION_MS as u64 * 2)),
                1 => {
                    self.world.crash();
                    // Answers that were under way are lost with the connections.
                    for client in &mut self.clients {
                        if matches!(client.phase, Phase::Joining(_) | Phase::Syncing(..)) {
                            client.phase = Phase::Out;
                        }
                    }
                }
                // It gives up waiting and asks again, or starts anew.
                2 => self.clients[index].phase = Phase::Out,
                3 => {
                    let client = &mut self.clients[index];
                    client.joiner.id.clear();
                    client.phase = Phase::Out;
                }
                4 => {
                    let id = self.clients[index].joiner.id.clone();
                    self.world.leave(&id);
                    self.clients[index].joiner.id.clear();
                    self.clients[index].phase = Phase::Out;
                }
                _ => {
                    self.world.pass(dice.roll(500));
                    self.act(index);
                }
            }
        }
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

/// Groups would share partitions twice, or never come to rest.
#[test]
fn groups_come_to_rest_with_each_part_given_once() {
    let schedules = std::env::var("MILENA_GROUP_SIM").ok().and_then(|text| text.parse().ok());
    for seed in 0..schedules.unwrap_or(SCHEDULES) {
        let played = std::panic::catch_unwind(|| {
            let mut dice = Dice(seed);
            let mut run = Run::new(&mut dice);
            run.play(&mut dice);
            run.heal();
        });
        if let Err(why) = played {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(why);
        }
    }
}
