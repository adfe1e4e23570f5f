//! The pictures, one module each.

pub(crate) mod fabric;
pub(crate) mod flower;
pub(crate) mod fruit;
pub(crate) mod harbour;
pub(crate) mod lake;
pub(crate) mod marks;
pub(crate) mod portrait;
pub(crate) mod shore;
pub(crate) mod spring;
