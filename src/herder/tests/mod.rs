//! Stories about the herder, told with a fake outside whose every answer the story decides.

mod auto_restart;
mod changes;
mod fencing;
mod group;
mod lifecycle;
mod lingering;
mod offsets;
mod restarts;
mod shutdown;
mod startup;
mod world;
mod writes;
