//! The cluster, on the real thing: what it can do, how it breaks, and that it goes away without a trace.

mod admission;
mod faults;
mod product;
mod shared;
mod trace;
