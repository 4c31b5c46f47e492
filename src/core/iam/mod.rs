//! IAM's policy language, once, for the deployer's types, the warnings and the local cloud: what a document may say
//! (`grammar`), how it is spelt (`document`), what it allows (`evaluate`) and more than another (`grants`), what a call needs (`need`), and AWS's own policies.

pub mod document;
pub mod evaluate;
pub mod grammar;
pub mod grants;
pub mod managed;
pub mod need;
