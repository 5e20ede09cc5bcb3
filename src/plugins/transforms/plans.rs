//! What a transform has worked out for a schema, so that records of the same schema need no more than carrying it out.

use std::sync::Arc;

use crate::api::data::SchemaRef;
use crate::api::error::Result;

/// How many schemas are remembered. A topic seldom has more at a time.
const CAPACITY: usize = 16;

/// The plans for the schemas met last, the latest first.
pub(super) struct Plans<P>(Vec<(SchemaRef, P)>);

impl<P> Plans<P> {
    pub(super) fn new() -> Self {
        Plans(Vec::new())
    }

    /// The plan for a schema, made if there is none. Most records share the very schema of the one before; equal schemas
    /// share a plan, so that what is made of them is one schema, too, and later stages find it by its address.
    pub(super) fn of(
        &mut self,
        schema: &SchemaRef,
        make: impl FnOnce(&SchemaRef) -> Result<P>,
    ) -> Result<&mut P> {
        let is_first = self.0.first().is_some_and(|(first, _)| Arc::ptr_eq(first, schema));
        if !is_first {
            self.bring_forward(schema, make)?;
        }
        match self.0.first_mut() {
            Some((_, plan)) => Ok(plan),
            None => unreachable!("one was found or put in"),
        }
    }

    fn bring_forward(
        &mut self,
        schema: &SchemaRef,
        make: impl FnOnce(&SchemaRef) -> Result<P>,
    ) -> Result<()> {
        let plans = &mut self.0;
        let same = plans.iter().position(|(known, _)| Arc::ptr_eq(known, schema));
        let known = same.or_else(|| plans.iter().position(|(known, _)| **known == **schema));
        if let Some(index) = known {
            let (_, plan) = plans.remove(index);
            plans.insert(0, (Arc::clone(schema), plan));
            return Ok(());
        }
        let plan = make(schema)?;
        plans.truncate(CAPACITY - 1);
        plans.insert(0, (Arc::clone(schema), plan));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::data::{Schema, SchemaKind};
    use crate::api::error::ConnectError;

    fn named(name: String) -> SchemaRef {
        Arc::new(Schema::new(SchemaKind::Int8).named(name))
    }

    #[test]
    fn equal_schemas_share_a_plan_and_few_are_kept() {
        let mut plans = Plans::new();
        let first = named("0".to_owned());
        assert_eq!(plans.of(&first, |_| Ok(7)).ok(), Some(&mut 7));
        let again = named("0".to_owned());
        assert_eq!(plans.of(&again, |_| Ok(8)).ok(), Some(&mut 7), "found by equality");
        assert!(Arc::ptr_eq(&plans.0[0].0, &again), "and next time by address");
        for number in 1..=20 {
            assert_eq!(plans.of(&named(number.to_string()), |_| Ok(number)).ok(), Some(&mut { number }));
        }
        assert_eq!(plans.0.len(), CAPACITY);
        assert_eq!(plans.of(&first, |_| Ok(9)).ok(), Some(&mut 9), "the oldest was forgotten");
    }

    #[test]
    fn what_cannot_be_planned_is_not_kept() {
        let mut plans: Plans<u8> = Plans::new();
        let schema = named("0".to_owned());
        assert!(plans.of(&schema, |_| Err(ConnectError::data("no"))).is_err());
        assert_eq!(plans.of(&schema, |_| Ok(1)).ok(), Some(&mut 1));
    }
}
