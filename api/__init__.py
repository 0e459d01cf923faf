"""Reports -> cases -> review -> dispatch. Knows people and systems. Kept empty of imports on purpose."""
