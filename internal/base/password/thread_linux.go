package password

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// stepBack is by how much a worker's thread is nicer than the rest of the
// process: it gets a quarter of a core when another thread wants all of it.
//
// Measured on 2 cores with 32 clients signing in at cost 12 and the p99 of
// another light call at 200 a second (medians of 11 rounds side by side): 1.5 ms
// idle; 4.7 ms with the hash made on the request's own goroutine; 3.7 ms on a
// locked thread of usual priority; 1.6 ms with 5, and no fewer hashes. More is
// worse, not better: the garbage collector stops the world and has to wait for
// a thread that the kernel doesn't run. With other programs taking both cores
// those pauses grew from 15 ms to 50 ms with 5, 170 ms with 10, 700 ms with 19.
const stepBack = 5

// giveWay locks the calling goroutine to its thread and has the kernel prefer
// all other threads to this one, for good: the thread ends with the goroutine.
// The runtime makes no new threads from a locked one, so that none inherits
// this. Where the kernel refuses, hashing works all the same.
func giveWay() {
	runtime.LockOSThread()
	thread := unix.Gettid()
	// The system call returns 20 - nice. Setting a fixed value would raise the
	// thread where the whole process was made nicer than that.
	now, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	if err != nil {
		return
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, thread, min(20-now+stepBack, 19))
}
