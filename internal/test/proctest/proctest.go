// Package proctest starts the programs that tests need.
package proctest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts a program which the kernel sends the signal should the tests die
// without a chance to end it. The channel is closed when the program has ended.
func Start(cmd *exec.Cmd, orphaned syscall.Signal) (ended <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = orphaned
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends the signal when the thread ends, not the process, and threads
		// do end, as those that hash do with their server: this one is kept.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(done)
		}
	}()
	return done, <-started
}
