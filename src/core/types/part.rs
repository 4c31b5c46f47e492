//! Which part a type plays where clients are served.

/// What a resource is on the way of a client's message: from a stage, through what its deployment froze, to a function,
/// and by whose permissions.
///
/// The order of a plan depends on it where a stage exists, since clients use the stack while it changes. A type that
/// has no such part (a table, a topic, a queue) is `Other`: references and `Kind::deleted_after` order it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// None of the following.
    Other,
    /// An API: what holds entries, snapshots, routes and callers; they name it in `ApiId`.
    Api,
    /// What clients connect to. It serves one snapshot, or with `AutoDeploy` every change at once; `StageVariables`
    /// stand in what is called. An update moves clients, so it comes last.
    Entry,
    /// What an entry serves: everything of its API that is frozen (`Kind::is_frozen_by_deployments`), as it was when
    /// the snapshot was taken.
    Snapshot,
    /// Which messages a snapshot takes, and whether they are answered. One that goes is deleted before the next
    /// snapshot is taken, which would freeze it otherwise; a rollback creates it again.
    Route,
    /// What calls something on behalf of an API (`Kind::calls`).
    Caller,
    /// What callers name and invoke, and what an update changes under them at once.
    Invoked,
    /// What permits to invoke, as a part of what is invoked (`Kind::within`) or of an API.
    Permission,
    /// What code runs as (`Kind::runs_as`).
    Role,
    /// Permissions that are given to the roles that its property `Roles` names.
    Policy,
}

impl Part {
    /// Whether it is an API or something inside one.
    pub fn is_of_gateway(self) -> bool {
        matches!(self, Self::Api | Self::Entry | Self::Snapshot | Self::Route | Self::Caller)
    }
}
