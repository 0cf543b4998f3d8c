//! Endpoints as configuration writes them: `NAME://host:port`, `http://host:port`,
//! `id@host:port`.
//!
//! Every parser answers with what would have been right where a text is not.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use milena_protocol::ids::NodeId;

use super::declared::elements;

/// How a listener is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The protocol that Kafka calls so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(Self::Plaintext),
            "SSL" => Some(Self::Ssl),
            "SASL_PLAINTEXT" => Some(Self::SaslPlaintext),
            "SASL_SSL" => Some(Self::SaslSsl),
            _ => None,
        }
    }

    /// Its number in metadata records.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// What Kafka calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// A name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// A name, or an address without brackets. Empty means every interface.
    pub host: String,
    /// The port; 0 lets the system choose, and what was chosen is meant.
    pub port: u16,
}

impl HostPort {
    /// Reads `host:port`, the host empty or in brackets if need be.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let inner = inner.strip_suffix(']')?;
                inner.parse::<Ipv6Addr>().ok()?;
                inner
            }
            None if host.contains([':', '/', '@', ' ', '[', ']']) => return None,
            None => host,
        };
        Some(Self { host: host.to_owned(), port })
    }

    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Where to bind, in the order in which to try.
    ///
    /// # Errors
    /// When the name is not known.
    pub fn bind_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        if self.host.is_empty() {
            let any = [IpAddr::from([0u16; 8]), IpAddr::from([0u8; 4])];
            return Ok(any.map(|address| SocketAddr::new(address, self.port)).to_vec());
        }
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        reachable(text).ok_or_else(|| "HOST:PORT, such as first.example.org:9092".to_owned())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where the Kafka protocol is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in upper case.
    pub name: String,
    /// How it is secured.
    pub security_protocol: SecurityProtocol,
    /// The host to bind; empty means every interface.
    pub host: String,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
}

impl Listener {
    /// Host and port.
    #[must_use]
    pub fn endpoint(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.port }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.endpoint())
    }
}

/// Where HTTP is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpListener {
    /// What to bind.
    pub endpoint: HostPort,
}

impl fmt::Display for HttpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.endpoint)
    }
}

/// A member of a static metadata quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub id: NodeId,
    /// Where it answers.
    pub endpoint: HostPort,
}

const LISTENER_FORM: &str = "a list of NAME://host:port, such as PLAINTEXT://127.0.0.1:9092";
const MAP_FORM: &str = "a list of NAME:PROTOCOL with a protocol of PLAINTEXT, SSL, \
                        SASL_PLAINTEXT, SASL_SSL";

/// Reads `NAME://host:port,…` with names in upper case, each once.
pub fn named_endpoints(value: &str) -> Result<Vec<(String, HostPort)>, String> {
    let mut found: Vec<(String, HostPort)> = Vec::new();
    for element in elements(value) {
        let (name, endpoint) = element.split_once("://").ok_or(LISTENER_FORM)?;
        let endpoint = HostPort::parse(endpoint).ok_or(LISTENER_FORM)?;
        let name = name.to_uppercase();
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) {
            return Err(LISTENER_FORM.to_owned());
        }
        if found.iter().any(|(other, _)| *other == name) {
            return Err(format!("each listener name once, {name} is there twice"));
        }
        found.push((name, endpoint));
    }
    Ok(found)
}

/// Reads `NAME:PROTOCOL,…`.
pub fn protocol_map(value: &str) -> Result<BTreeMap<String, SecurityProtocol>, String> {
    let mut map = BTreeMap::new();
    for element in elements(value) {
        let (name, protocol) = element.split_once(':').ok_or(MAP_FORM)?;
        let protocol = SecurityProtocol::parse(protocol.trim()).ok_or(MAP_FORM)?;
        let name = name.trim().to_uppercase();
        if map.insert(name.clone(), protocol).is_some() {
            return Err(format!("each listener name once, {name} is there twice"));
        }
    }
    Ok(map)
}

/// Reads `http://host:port,…`.
pub fn http_listeners(value: &str) -> Result<Vec<HttpListener>, String> {
    let form = "a list of http://host:port, or empty to switch HTTP off";
    elements(value)
        .map(|element| {
            let endpoint = element
                .strip_prefix("http://")
                .and_then(|rest| HostPort::parse(rest.trim_end_matches('/')));
            endpoint.map(|endpoint| HttpListener { endpoint }).ok_or_else(|| form.to_owned())
        })
        .collect()
}

/// Reads `id@host:port,…`, each id once.
pub fn voters(value: &str) -> Result<Vec<Voter>, String> {
    let form = "a list of id@host:port, each id once";
    let mut found: Vec<Voter> = Vec::new();
    for element in elements(value) {
        let (id, endpoint) = element.split_once('@').ok_or(form)?;
        let id: i32 = id.parse().map_err(|_| form)?;
        let endpoint = reachable(endpoint).ok_or(form)?;
        if id < 0 || found.iter().any(|other| other.id.0 == id) {
            return Err(form.to_owned());
        }
        found.push(Voter { id: NodeId(id), endpoint });
    }
    Ok(found)
}

/// Reads `host:port,…`.
pub fn servers(value: &str) -> Result<Vec<HostPort>, String> {
    let form = "a list of host:port";
    elements(value).map(|element| reachable(element).ok_or_else(|| form.to_owned())).collect()
}

/// An endpoint that somebody else could connect to.
fn reachable(text: &str) -> Option<HostPort> {
    HostPort::parse(text).filter(|endpoint| !endpoint.host.is_empty() && endpoint.port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    /// An address that people write would be refused, or a wrong one bound.
    #[test]
    fn endpoints_are_read_and_written() {
        assert_eq!(HostPort::parse(":9092"), Some(at("", 9092)));
        assert_eq!(HostPort::parse("[::1]:0"), Some(at("::1", 0)));
        assert_eq!(HostPort::parse("kafka-0.kafka:9092"), Some(at("kafka-0.kafka", 9092)));
        assert_eq!(at("::1", 7).to_string(), "[::1]:7");
        for wrong in ["", "a", "a:", "a:99999", "a:-1", "::1:9", "[::1:9", "[x]:9", "a b:1"] {
            assert_eq!(HostPort::parse(wrong), None, "{wrong}");
        }
    }

    /// HTTP without a password would be open to the network by an odd spelling of an address.
    #[test]
    fn loopback_is_known() {
        for inside in ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"] {
            assert!(at(inside, 1).is_loopback(), "{inside}");
        }
        for outside in ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example.org"] {
            assert!(!at(outside, 1).is_loopback(), "{outside}");
        }
    }

    /// Two listeners of one name would share their advertised address.
    #[test]
    fn names_are_unique_and_upper_case() {
        let found = named_endpoints("plaintext://:9092, BROKER://h:9093").unwrap();
        assert_eq!(found[0].0, "PLAINTEXT");
        assert_eq!(found[1], ("BROKER".to_owned(), at("h", 9093)));
        assert!(named_endpoints("A://h:1,a://h:2").unwrap_err().contains("twice"));
        assert!(named_endpoints("h:1").is_err());
        assert!(named_endpoints("://h:1").is_err());
    }

    /// A quorum would be formed with the wrong members.
    #[test]
    fn voters_have_ids_and_addresses() {
        assert_eq!(voters("1@a:9093,2@b:9093").unwrap().len(), 2);
        for wrong in ["a:1", "1@a", "-1@a:1", "1@a:1,1@b:1", "1@:9", "1@a:0"] {
            assert!(voters(wrong).is_err(), "{wrong}");
        }
    }
}
