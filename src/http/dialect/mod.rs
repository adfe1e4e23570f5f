//! APIs of other services: thin adapters from their words to ours and back. A dialect owns no rule about images, queues or
//! storage.

pub mod qiniu;
