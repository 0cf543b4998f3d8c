//! Where the value of a configuration comes from, with the numbers of DescribeConfigs.

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// The topic's own override.
    Topic = 1,
    /// The override of one broker.
    DynamicBroker = 2,
    /// The override of all brokers.
    DynamicDefaultBroker = 3,
    /// The broker's file, environment or command line.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// The group's own override.
    Group = 8,
}
