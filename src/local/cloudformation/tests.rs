//! Stacks from CreateStack to DeleteStack, over services that answer for others.
