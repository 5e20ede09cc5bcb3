//! Sink tasks.

use herdsman::task::TaskEventKind;

use crate::plugins::{Keeper, numbered};
use crate::support::Rig;

#[test]
fn records_are_put_in_order_and_a_stop_commits_them() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(2000));
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.offset_flush_interval = std::time::Duration::from_secs(3600);
    let task = rig.start(1, spec);
    keeper.wait_for(2000);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        let values: Vec<String> = state.kept.iter().map(|(_, _, value)| value.clone()).collect();
        assert_eq!(values, numbered(2000));
        assert_eq!(state.calls, ["0 open [0]", "0 pre_commit [0]", "0 close [0]", "0 stop []"]);
    });
    assert_eq!(rig.committed(0), Some(2000));
}
