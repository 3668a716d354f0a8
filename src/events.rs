//! stub
#![allow(missing_docs)]
use crate::object::*;
#[derive(Debug, Clone)]
pub struct Recorder;
impl Recorder { pub fn publish(&self, _r: &Regarding, _e: Event) {} 
 pub fn new(_: &crate::client::Client, _: &crate::leader_election::Identity, _: u64) -> (Self, Flush) { (Self, Flush) } }
pub struct Flush;
impl Flush { pub async fn flush(self) {} }
pub struct Regarding { pub resource: Resource, pub key: ObjectKey, pub uid: Uid }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType { Normal, Warning }
pub struct Event { pub event_type: EventType, pub reason: &'static str, pub action: &'static str, pub note: String }
