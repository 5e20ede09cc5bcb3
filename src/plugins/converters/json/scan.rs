//! Finds the few bytes in a text that need attention.

/// How many bytes at the beginning are not special. Whole blocks are looked at without a branch, so that the compiler
/// compares all their bytes at once.
#[inline]
pub(super) fn plain_prefix(text: &[u8], is_special: impl Fn(u8) -> bool) -> usize {
    const BLOCK: usize = 16;
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let is_plain =
        |block: &&[u8; BLOCK]| !block.iter().fold(false, |special, byte| special | is_special(*byte));
    let checked = blocks.iter().take_while(is_plain).count() * BLOCK;
    let rest = text.get(checked..).unwrap_or_default();
    checked + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}
