//! Explanations, and that no secret is told by them or by anything else that is printed.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::*;
use crate::config::{Secret, Warning};
use crate::telemetry::logging::{LogFormat, subscriber};

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn config(set: &[&str]) -> Config {
    let set = set.iter().map(|text| secret(text)).collect();
    Config::load(&Sources { set, ..Sources::default() }).unwrap()
}

fn said(config: &Config, key: Option<&str>, json: bool) -> String {
    let mut out = Vec::new();
    explain(config, key, json, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A user could not find out why a value holds.
#[test]
fn one_key_is_explained() {
    let config = config(&["num.partitions=3"]);
    let text = said(&config, Some("num.partitions"), false);
    assert!(text.starts_with("num.partitions = 3\n"), "{text}");
    for line in [
        "  source    --set",
        "  default   1",
        "  type      int",
        "  legal     an integer of at least 1",
        "  run time  no, at start only",
        "  effect    yes",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    let json: Value = serde_json::from_str(&said(&config, Some("num.partitions"), true)).unwrap();
    assert_eq!(json["value"], "3");
    assert_eq!(json["source"], "--set");
    assert_eq!(json["changeable_at_run_time"], false);
    assert_eq!(json["acts"], true);
}

/// A key without effect would be relied on.
#[test]
fn keys_without_effect_say_so() {
    let text = said(&config(&[]), Some("num.io.threads"), false);
    assert!(text.contains("  effect    none: "), "{text}");
}

/// A typing error would end in silence.
#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let error = explain(&config(&[]), Some("num.partition"), false, &mut io::sink());
    assert_eq!(
        error.unwrap_err().to_string(),
        "there is no key num.partition; did you mean num.partitions?"
    );
}

/// Tools that read the list would miss keys.
#[test]
fn the_list_is_whole() {
    let config = config(&["listener.name.plaintext.ssl.key.password=x"]);
    let text = said(&config, None, false);
    let told = all().iter().filter(|declared| declared.scope != Scope::Internal).count();
    assert_eq!(text.lines().count(), told + 1);
    let json: Value = serde_json::from_str(&said(&config, None, true)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), told + 1);
}

const CANARY: &str = "canary-4f1e";

/// A password would stand in a log, an explanation or an error.
#[test]
fn secrets_stay_secret() {
    let secrets: Vec<_> = all().iter().filter(|declared| declared.is_sensitive()).collect();
    assert!(secrets.iter().any(|declared| declared.name == "sasl.jaas.config"));
    let mut set = Vec::new();
    let mut environment = Vec::new();
    let mut file = String::new();
    for (index, declared) in secrets.iter().enumerate() {
        let name = declared.name;
        match index % 3 {
            0 => set.push(format!("{name}={CANARY}")),
            1 => file.push_str(&format!("{name}={CANARY}\n")),
            _ => {
                let variable = format!("KAFKA_{}", name.to_uppercase().replace('.', "_"));
                environment.push((variable, secret(CANARY)));
            }
        }
        set.push(format!("listener.name.plaintext.{name}={CANARY}"));
        set.push(format!("listener.name.plaintext.plain.{name}={CANARY}"));
        set.push(format!("unknown.{name}={CANARY}"));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.properties");
    std::fs::write(&path, file).unwrap();
    let set = set.iter().map(|text| secret(text)).collect();
    let mut sources = Sources { file: Some(path.clone()), environment, set };

    let config = Config::load(&sources).unwrap();
    for declared in &secrets {
        let setting = config.setting(declared.name).expect(declared.name);
        assert_eq!(setting.value.reveal(), CANARY);
    }
    let mut told = format!("{config:?}\n{config:#?}\n{:?}\n", sources);
    told.push_str(&format!("{:?}\n{:?}\n", config.static_values(), config.settings()));
    told.push_str(&logged(&config));
    told.push_str(&explained(&config));

    let wrong = ["num.partitions=none".to_owned(), CANARY.to_owned(), format!("={CANARY}")];
    sources.set.extend(wrong.map(|text| secret(&text)));
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(error.problems.len(), 3);
    told.push_str(&format!("{error}\n{error:?}\n"));
    std::fs::write(&path, format!("ssl.key.password={CANARY}\\u00\n")).unwrap();
    let error = Config::load(&sources).unwrap_err();
    told.push_str(&format!("{error}\n{error:?}\n"));

    assert!(told.contains("[hidden]"));
    assert!(!told.contains(CANARY), "a secret is told");
}

fn logged(config: &Config) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    for format in [LogFormat::Text, LogFormat::Json] {
        let writer = lines.clone();
        let writer = BoxMakeWriter::new(move || writer.clone());
        let subscriber = subscriber(format, "trace", false, writer).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            config.warnings().iter().for_each(Warning::log);
            tracing::info!(?config, "configuration");
        });
    }
    let bytes = lines.0.lock().clone();
    assert!(bytes.len() > 1_000);
    String::from_utf8(bytes).unwrap()
}

fn explained(config: &Config) -> String {
    let mut out = Vec::new();
    for json in [false, true] {
        explain(config, None, json, &mut out).unwrap();
        for key in config.settings().keys().filter(|key| find(key).is_some()) {
            explain(config, Some(key), json, &mut out).unwrap();
        }
    }
    String::from_utf8(out).unwrap()
}
