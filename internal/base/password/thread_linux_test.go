package password

import (
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// niceness returns how nice the threads of this process are, by their ids,
// without the main one, which the runtime never ends.
func niceness(t *testing.T) map[int]int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	nice := map[int]int{}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil && id != os.Getpid() {
			nice[id] = 20 - raw
		}
	}
	return nice
}

// Only the workers' threads step back, and they are gone with the workers: a
// thread that stayed, or one that inherited it, would make requests slow.
func TestOnlyWorkersGiveWay(t *testing.T) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	before := niceness(t)
	usual := 20 - raw
	for _, n := range before {
		usual = min(usual, n)
	}
	stepped := func() (n int) {
		for id, nice := range niceness(t) {
			if old, there := before[id]; nice > usual && (!there || old != nice) {
				n++
			}
		}
		return n
	}
	const workers = 3
	h := start(Config{Cost: 4, Workers: workers, Queue: 64}, actual)
	for range 8 {
		mustHash(t, h, "correct horse battery")
	}
	busy := make(chan error)
	for range 32 {
		go func() { busy <- h.VerifyNobody(t.Context(), "correct horse battery") }()
	}
	for range 32 {
		if err := <-busy; err != nil {
			t.Error(err)
		}
	}
	// One worker may have been given the main thread, which is not counted.
	if n := stepped(); n != workers && n != workers-1 {
		t.Errorf("%d threads have stepped back, want %d", n, workers)
	}
	h.Close()
	// The kernel's end of a thread comes a little after its goroutine's.
	for range 1000 {
		if stepped() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d threads are left that have stepped back", stepped())
}
