package event

// CommitmentOf is for tests that forge erasures.
var CommitmentOf = commitment
