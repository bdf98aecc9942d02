package account

// The statements whose plans tests look at.
const (
	ExplainWords            = `EXPLAIN ` + byWordsSQL
	ExplainWordsLite        = `EXPLAIN QUERY PLAN ` + byWordsSQL
	ExplainUnverified       = `EXPLAIN ` + latestUnverifiedSQL
	ExplainUnverifiedLite   = `EXPLAIN QUERY PLAN ` + latestUnverifiedSQL
	ExplainDisabled         = `EXPLAIN ` + latestDisabledSQL
	ExplainDisabledLite     = `EXPLAIN QUERY PLAN ` + latestDisabledSQL
	ExplainReset            = `EXPLAIN ` + latestResetSQL
	ExplainResetLite        = `EXPLAIN QUERY PLAN ` + latestResetSQL
	ExplainLatest           = `EXPLAIN ` + latestSQL
	ExplainLatestLite       = `EXPLAIN QUERY PLAN ` + latestSQL
	ExplainLatestActive     = `EXPLAIN ` + latestActiveSQL
	ExplainLatestActiveLite = `EXPLAIN QUERY PLAN ` + latestActiveSQL
)
