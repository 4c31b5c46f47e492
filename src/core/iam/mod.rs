//! IAM's policy language, shared by the deployer's types, the warnings and the local cloud: what a document may say
//! (`grammar`), its normal form (`document`), what it allows (`evaluate`) and what more than another (`grants`), the
//! permissions a call needs (`need`), and AWS's managed policies.

pub mod document;
pub mod evaluate;
pub mod grammar;
pub mod grants;
pub mod managed;
pub mod need;
