package password

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Attack 7, issue 12: one client's many never slow another's: whoever comes is served
// after one job at most of each client that waits already.
func TestAttack7_ClientsAreServedInTurn(t *testing.T) {
	var q queue
	for range 100 {
		q.add(&job{client: "flood"})
	}
	for i := range 5 {
		q.add(&job{client: fmt.Sprint("one", i)})
	}
	var order []string
	for j := q.next(); j != nil; j = q.next() {
		order = append(order, j.client)
	}
	if want := []string{"flood", "one0", "one1", "one2", "one3", "one4", "flood"}; !slices.Equal(order[:7], want) || len(order) != 105 {
		t.Errorf("%d served, the first %v", len(order), order[:7])
	}
}

// Whatever comes and goes: nobody is lost or served twice, each client's are served in
// their order, and between two of one client's every other that waited has had one.
func TestAttack7_TheQueueIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		waiting := map[string][]*job{}
		since := map[string]map[string]bool{} // served since a client was
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			client := rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "client")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				j := &job{client: client}
				q.add(j)
				if waiting[client] = append(waiting[client], j); len(waiting[client]) == 1 {
					since[client] = map[string]bool{}
				}
			case 2:
				if jobs := waiting[client]; len(jobs) > 0 {
					i := rapid.IntRange(0, len(jobs)-1).Draw(t, "which")
					if !q.leave(jobs[i]) || q.leave(jobs[i]) {
						t.Fatal("it leaves other than once")
					}
					waiting[client] = slices.Delete(slices.Clone(jobs), i, i+1)
				}
			default:
				j := q.next()
				if j == nil {
					for client, jobs := range waiting {
						if len(jobs) > 0 {
							t.Fatalf("%d of %q are lost", len(jobs), client)
						}
					}
					continue
				}
				if len(waiting[j.client]) == 0 || waiting[j.client][0] != j {
					t.Fatalf("%q is served out of its order", j.client)
				}
				waiting[j.client] = waiting[j.client][1:]
				for other, jobs := range waiting {
					if other != j.client && len(jobs) > 0 {
						if since[other][j.client] {
							t.Fatalf("%q is served twice while %q waits", j.client, other)
						}
						since[other][j.client] = true
					}
				}
				since[j.client] = map[string]bool{}
			}
		}
	})
}

// Case N13: a caller that is turned away learns when all who wait will have been served.
func TestCaseN13_RetryAfterIsHonest(t *testing.T) {
	h := &Hasher{places: make(chan struct{}, 64), size: 2}
	for range 40 {
		h.places <- struct{}{}
	}
	h.took.Store(int64(250_000_000))
	wantBusy(t, h.refuse(), 5_000_000_000)
}
