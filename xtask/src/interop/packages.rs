//! Installing what suites need, from the package registries and under `target/interop`. What is
//! there already, in the pinned versions, is used again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::{Failure, Outcome};
use super::place::Place;
use super::program::Program;

/// How long an installation may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The jars of Apache Kafka, as a class path.
///
/// # Errors
/// When Maven is missing or cannot fetch them.
pub fn kafka(place: &Place) -> Outcome<String> {
    let jars = place.installed.join("kafka");
    let pom = place.sources("kafka").join("pom.xml");
    unless_installed(&jars, &pom, || {
        Program::new("mvn", LIMIT)
            .args(["--quiet", "--batch-mode", "--file"])
            .arg(&pom)
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", jars.display()))
            .out()
    })?;
    Ok(format!("{}/*", jars.display()))
}

/// A Python that has the client libraries.
///
/// # Errors
/// When there is no Python with `venv`, or the packages cannot be fetched.
pub fn python(place: &Place) -> Outcome<PathBuf> {
    let environment = place.installed.join("python");
    let requirements = place.sources("python").join("requirements.txt");
    let python = environment.join("bin/python");
    unless_installed(&environment, &requirements, || {
        Program::new("python3", LIMIT).args(["-m", "venv"]).arg(&environment).out()?;
        Program::new(&python, LIMIT)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(&requirements)
            .out()
    })?;
    Ok(python)
}

/// kcat, from the distribution's packages where it is missing.
///
/// # Errors
/// When it cannot be installed.
pub fn kcat() -> Outcome {
    let is_there = Program::new("kcat", LIMIT).arg("-V").words().is_ok_and(|it| it.is_success);
    if is_there { Ok(()) } else { distributed("kcat") }
}

/// The headers of RapidJSON, without which some of librdkafka's tests are left out.
///
/// # Errors
/// When they cannot be installed.
pub fn rapidjson() -> Outcome {
    let is_there = Path::new("/usr/include/rapidjson/rapidjson.h").exists();
    if is_there { Ok(()) } else { distributed("rapidjson-dev") }
}

/// A package of the distribution.
fn distributed(package: &str) -> Outcome {
    Program::new("apt-get", LIMIT).args(["update", "-qq"]).out()?;
    Program::new("apt-get", LIMIT).args(["install", "-y", "-qq", package]).out()?;
    Ok(())
}

/// The compiled classes of a folder of Java sources, as a class path with Kafka's jars.
///
/// # Errors
/// When there is no Java compiler or it refuses them.
pub fn java_classes(place: &Place, folder: &str) -> Outcome<String> {
    let jars = kafka(place)?;
    let classes = place.installed.join("classes").join(folder);
    let mut sources: Vec<PathBuf> = fs::read_dir(place.sources(folder))
        .map_err(Failure::while_doing("cannot list the Java sources"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "java"))
        .collect();
    sources.sort();
    Program::new("javac", LIMIT)
        .args(["-Xlint:all,-classfile", "-Werror", "-cp", &jars, "-d"])
        .arg(&classes)
        .args(&sources)
        .out()?;
    Ok(format!("{}:{jars}", classes.display()))
}

/// The compiled program of the Go module.
///
/// # Errors
/// When there is no Go, or its modules cannot be fetched.
pub fn go_program(place: &Place) -> Outcome<PathBuf> {
    let program = place.installed.join("franz");
    Program::new("go", LIMIT)
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .inside(&place.sources("go"))
        .out()?;
    Ok(program)
}

/// Installs unless a copy of `pinned`, the file that names the versions, tells that it was done.
fn unless_installed(
    target: &Path,
    pinned: &Path,
    install: impl FnOnce() -> Outcome<String>,
) -> Outcome {
    let mark = target.join("installed");
    let wanted = fs::read(pinned)
        .map_err(Failure::while_doing(format!("cannot read {}", pinned.display())))?;
    if fs::read(&mark).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    if target.exists() {
        fs::remove_dir_all(target)
            .map_err(Failure::while_doing(format!("cannot clear {}", target.display())))?;
    }
    install()
        .map_err(Failure::while_doing(format!("cannot install what {} names", pinned.display())))?;
    fs::write(&mark, wanted)
        .map_err(Failure::while_doing(format!("cannot write {}", mark.display())))
}
