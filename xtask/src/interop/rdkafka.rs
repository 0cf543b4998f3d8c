//! librdkafka's own tests, as they are in the version that the tree's lock file pins: those that
//! ask a broker, against three nodes, with every topic kept three times.
//!
//! They come with the source that the crate `rdkafka-sys` carries. Some of them call Apache
//! Kafka's own tools and Java clients, which are put where they look for them. Those that run
//! against a mock broker inside of librdkafka say nothing about ours and are left out.

use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::check::{Checks, Failure, Outcome, shortened};
use super::packages;
use super::place::Place;
use super::program::{Program, Words};
use super::server::{Server, Subject};

/// How long one round of them may take.
const LIMIT: Duration = Duration::from_secs(1200);
/// How long each step of the compilation may take.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// The version of Apache Kafka that they take the broker for.
const VERSION: &str = "4.3.1";
/// What they do without: nothing here is encrypted.
const WITHOUT: [&str; 5] =
    ["--disable-ssl", "--disable-gssapi", "--disable-sasl", "--disable-curl", "--disable-zstd"];
/// The functions by which they create a topic; see `three_copies.c`.
const WRAPPED: [&str; 3] =
    ["test_create_topic", "test_create_topic_wait_exists", "test_admin_create_topic"];
/// Settings of the nodes, as their own scripts start brokers with.
const SETTINGS: [&str; 3] = [
    "num.partitions=4",
    "log.retention.bytes=1000000000",
    "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
];
/// The scenario of most tests.
const DEFAULT: &str = "default";
/// The scenario in which a topic must be created before it is used, and the setting for it.
const WITHOUT_CREATION: (&str, &str) = ("noautocreate", "auto.create.topics.enable=false");
/// What clients are configured with, and that they have patience on a busy machine.
const CONFIGURATION: &str = "broker.address.family=v4\ntest.timeout.multiplier=2\n";
/// The package that brings the source.
const PACKAGE: &str = "rdkafka-sys";
/// The first line of the runner's summary, which is no test.
const WHOLE_RUN: &str = "<MAIN>";

/// Those that are not asked, by their numbers, and why.
const NOT_ASKED: [(&str, &str); 7] = [
    ("0077", "its segments are smaller than Apache Kafka allows since 4.1"),
    ("0109", "needs an authorizer"),
    ("0115", "needs an authorizer"),
    ("0119", "needs an authorizer"),
    ("0129", "its segments are smaller than Apache Kafka allows since 4.1"),
    ("0139", "asks a mock broker"),
    ("0150", "asks a mock broker"),
];
/// Those that may leave themselves out, and why.
const SKIPPED: [(&str, &str); 9] = [
    ("0082", "takes long"),
    ("0084", "unfinished for consumer groups"),
    ("0092", "its record format is gone since Apache Kafka 4.0"),
    ("0097", "needs TLS"),
    ("0126", "needs SASL"),
    ("0132", "is of classic groups"),
    ("0135", "needs SASL"),
    ("0142", "needs SASL"),
    ("0153", "is of consumer groups"),
];
/// Those that tamper with sockets, of other tests too: one of them closes a socket that is not its
/// own, and another counts milliseconds.
const ALONE: &str = "0049,0068,0075,0076,0086,0088,0094";
/// The test of the Admin client, which runs in parts: the rest of it needs an authorizer, or
/// credentials that are kept in the metadata.
const ADMIN: &str = "0081";
/// Its parts, by how their names begin.
const ADMIN_PARTS: [&str; 18] = [
    "test_unclean_destroy",
    "test_CreateTopics",
    "test_DeleteTopics",
    "test_CreatePartitions",
    "test_AlterConfigs",
    "test_IncrementalAlterConfigs",
    "test_DescribeConfigs:",
    "test_DescribeConfigs_groups",
    "test_DeleteRecords",
    "test_ListConsumerGroups:",
    "test_DescribeConsumerGroups:",
    "test_DescribeTopics",
    "test_DescribeCluster",
    "test_DeleteGroups",
    "test_DeleteConsumerGroupOffsets",
    "test_ListOffsets",
    "test_AlterConsumerGroupOffsets",
    "test_ListConsumerGroupOffsets",
];
/// What the runner says of a test that held.
const PASSED: &str = "PASSED";
/// How its word on a failure begins.
const COMPLAINT: &str = "### Test ";
/// What it says of one that did not run.
const LEFT_OUT: &str = "SKIPPED";
/// Why it did not when it needs no broker: `-L` leaves those out.
const NEEDS_NO_BROKER: &str = "negative test flags";
/// Why it did not when it runs apart.
const ELSEWHERE: &str = "included in TESTS_SKIP list";

/// A round of them.
struct Round {
    /// What its checks are called.
    name: &'static str,
    /// Which cluster it wants, in its own words.
    scenario: &'static str,
    /// The protocol that groups speak.
    groups: &'static str,
    /// How many hold.
    held: usize,
}

const ROUNDS: [Round; 3] = [
    Round { name: "classic groups", scenario: DEFAULT, groups: "classic", held: 104 },
    Round { name: "consumer groups", scenario: DEFAULT, groups: "consumer", held: 103 },
    Round { name: "no creation by use", scenario: WITHOUT_CREATION.0, groups: "classic", held: 4 },
];

/// Runs them.
///
/// # Errors
/// When one fails, is skipped without a reason that is known, or is not there.
pub fn run(place: &Place, _: Subject, checks: &mut Checks) -> Outcome {
    let tests = compiled(place)?;
    let scratch = place.scratch("librdkafka-own-tools")?;
    link_tools(place, scratch.path())?;
    let rounds = ROUNDS.iter().map(|round| round.run(place, &tests, scratch.path(), checks));
    let failures: Vec<String> =
        rounds.filter_map(Result::err).map(|failure| failure.to_string()).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(failures.join("\n")))
}

impl Round {
    /// Runs it on a cluster of its own.
    fn run(&self, place: &Place, tests: &Path, tools: &Path, checks: &mut Checks) -> Outcome {
        let mut settings = SETTINGS.to_vec();
        if self.scenario == WITHOUT_CREATION.0 {
            settings.push(WITHOUT_CREATION.1);
        }
        let server = Server::start_with(place, Subject::Cluster, "librdkafka-own", &settings)?;
        let configuration = tools.join("test.conf");
        let address = server.address();
        write(&configuration, &format!("bootstrap.servers={address}\n{CONFIGURATION}"))?;
        let runner = || {
            Program::new(tests.join("test-runner"), LIMIT)
                .args(["-L", "-Q"])
                .variable("RDKAFKA_TEST_CONF", &configuration)
                .variable("TEST_KAFKA_VERSION", VERSION)
                .variable("TEST_SCENARIO", self.scenario)
                .variable("TEST_CONSUMER_GROUP_PROTOCOL", self.groups)
                .variable("KAFKA_PATH", tools)
                .variable("BROKERS", address)
                .variable("LD_LIBRARY_PATH", "../src:../src-cpp")
                .inside(tests)
                .called("librdkafka's tests")
        };
        let mut apart: Vec<&str> = NOT_ASKED.iter().map(|(number, _)| *number).collect();
        apart.extend([ALONE, ADMIN]);
        let mut said = runner().arg("-p5").variable("TESTS_SKIP", apart.join(",")).words()?;
        let alone = |tests: &str| runner().arg("-p1").variable("TESTS", tests);
        if self.scenario == DEFAULT {
            said += alone(ALONE).words()?;
            for part in ADMIN_PARTS {
                said += alone(ADMIN).variable("SUBTESTS", part).words()?;
            }
        }
        self.judge(&said, checks)
    }

    /// Counts what held, and says what did not.
    fn judge(&self, said: &Words, checks: &mut Checks) -> Outcome {
        let asked =
            said.out.lines().filter_map(Verdict::read).filter(|it| !it.is_expected_to_skip());
        let (held, rest): (Vec<Verdict>, Vec<Verdict>) = asked.partition(|it| it.state == PASSED);
        for verdict in &held {
            checks.pass(&format!("librdkafka, {}: {}", self.name, verdict.name));
        }
        if rest.is_empty() && held.len() == self.held {
            return Ok(());
        }
        let rest: Vec<String> = rest.iter().map(Verdict::to_string).collect();
        // The runner aborts when a test has failed, so its summary may be cut.
        let complaints: Vec<&str> =
            said.err.lines().skip_while(|line| !line.contains(COMPLAINT)).collect();
        let (name, count, wanted) = (self.name, held.len(), self.held);
        let (rest, complaints) = (rest.join("\n"), shortened(&complaints.join("\n")));
        Err(Failure::new(format!("{name}: {count} of {wanted} held\n{rest}\n{complaints}")))
    }
}

/// A line of the runner's summary.
#[derive(Debug, PartialEq, Eq)]
struct Verdict<'a> {
    name: &'a str,
    state: &'a str,
    /// Why it failed or was left out, where it says so.
    why: &'a str,
}

impl<'a> Verdict<'a> {
    /// The runner draws a table: `| NAME | STATE | SECONDS | WHY`, in colours.
    fn read(line: &'a str) -> Option<Self> {
        let mut cells = line.strip_prefix('|')?.split('|');
        let mut cell = || Some(cells.next()?.trim());
        let name = cell()?.rsplit(' ').next()?;
        let state = cell()?;
        let _seconds = cell()?;
        let why = cell().unwrap_or_default();
        (name != WHOLE_RUN).then_some(Self { name, state, why })
    }

    fn is_expected_to_skip(&self) -> bool {
        let is_known = || SKIPPED.iter().any(|(number, _)| self.name.starts_with(number));
        let is_apart = || self.why.contains(ELSEWHERE);
        let needs_no_broker = || self.why.contains(NEEDS_NO_BROKER);
        self.state == LEFT_OUT && (is_known() || is_apart() || needs_no_broker())
    }
}

impl Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.state, self.why)
    }
}

/// The compiled tests: the directory that their runner is in.
fn compiled(place: &Place) -> Outcome<PathBuf> {
    let sources = sources(place)?;
    let copy = place.installed.join("librdkafka");
    let mark = copy.join("compiled");
    let wanted = sources.display().to_string();
    let tests = copy.join("tests");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(tests);
    }
    if copy.exists() {
        fs::remove_dir_all(&copy).map_err(Failure::while_doing("cannot clear librdkafka"))?;
    }
    packages::rapidjson()?;
    step("cp").arg("--recursive").arg(&sources).arg(&copy).out()?;
    step("./configure").args(WITHOUT).inside(&copy).out()?;
    step("make").args(["-j2", "libs"]).inside(&copy).out()?;
    let three_copies = copy.join("three_copies.o");
    let own = place.sources("librdkafka").join("three_copies.c");
    step("cc").args(["-O2", "-c", "-o"]).arg(&three_copies).arg(own).out()?;
    let wraps: Vec<String> = WRAPPED.iter().map(|name| format!("-Wl,--wrap={name}")).collect();
    step("make")
        .args(["-j2", "build"])
        .variable("LDFLAGS", wraps.join(" "))
        .variable("LIBS", &three_copies)
        .inside(&tests)
        .out()?;
    write(&mark, &wanted)?;
    Ok(tests)
}

/// A step of the compilation.
fn step(program: &str) -> Program {
    Program::new(program, BUILD_LIMIT)
}

/// Where the package manager keeps librdkafka's source, which it fetches where it is missing.
fn sources(place: &Place) -> Outcome<PathBuf> {
    let described = Program::new("cargo", BUILD_LIMIT)
        .args(["metadata", "--locked", "--format-version", "1"])
        .inside(&place.root)
        .out()?;
    let described: Value = serde_json::from_str(&described)
        .map_err(Failure::while_doing("cannot read what cargo says of its packages"))?;
    let packages = described["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == PACKAGE)
        .find_map(|package| package["manifest_path"].as_str());
    let directory = manifest.and_then(|manifest| Path::new(manifest).parent());
    let directory = directory.ok_or_else(|| Failure::new(format!("there is no {PACKAGE}")))?;
    Ok(directory.join("librdkafka"))
}

/// Puts Apache Kafka's tools and jars where the tests look for them.
fn link_tools(place: &Place, directory: &Path) -> Outcome {
    let class_path = packages::kafka(place)?;
    let jars = Path::new(class_path.trim_end_matches("/*"));
    for (target, name) in
        [(place.sources("librdkafka").join("bin").as_path(), "bin"), (jars, "libs")]
    {
        std::os::unix::fs::symlink(target, directory.join(name))
            .map_err(Failure::while_doing(format!("cannot link {}", target.display())))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(Failure::while_doing(format!("cannot write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_failed_or_never_ended_is_no_test_that_held() {
        // The suite would pass with tests that do not.
        let said = "| <MAIN>                     |     PASSED |  65.799s |\n\
                    |\u{1b}[32m 0001_multiobj  |     PASSED |   1.150s \u{1b}[0m|\n\
                    |\u{1b}[31m 0005_order     |     FAILED |   0.137s \u{1b}[0m| too late\n\
                    |\u{1b}[35m 0007_autotopic |    RUNNING |   9.000s \u{1b}[0m|\n\
                    |\u{1b}[36m 0009_mock      |    SKIPPED |   0.000s \u{1b}[0m| Filtered due to \
                    negative test flags\n";
        let round = Round { name: "a round", scenario: DEFAULT, groups: "classic", held: 1 };
        let mut checks = Checks::default();
        let said = Words { is_success: false, out: said.to_owned(), err: String::new() };
        let failure = round.judge(&said, &mut checks).unwrap_err().to_string();
        assert_eq!(checks.passed(), 1);
        let complaints: Vec<&str> = failure.lines().skip(1).map(str::trim_end).collect();
        assert_eq!(complaints, ["0005_order FAILED too late", "0007_autotopic RUNNING"]);
    }
}
