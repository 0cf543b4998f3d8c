//! The sockets of clients and brokers: tokio's. With the feature `simulation`, which only tests
//! switch on, a socket that is opened within a simulated network is one of that network; everywhere
//! else it is the system's as ever.

#[cfg(feature = "simulation")]
mod simulated;
#[cfg(not(feature = "simulation"))]
mod system;

#[cfg(feature = "simulation")]
pub use simulated::{
    OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream, cut, listen, mend, of_system,
};
#[cfg(not(feature = "simulation"))]
pub use system::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream, of_system};
