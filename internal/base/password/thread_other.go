//go:build !linux

package password

// giveWay is for systems that let a thread step back; see thread_linux.go.
func giveWay() {}
