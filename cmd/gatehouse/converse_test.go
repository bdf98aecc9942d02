package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// converse runs a program at a terminal, as a person would: converse dialogue
// program [argument...]. It prints all that the terminal showed, and exits with
// the program's code, or with 99 if the dialogue went another way, or if the
// program left the terminal other than it found it.
//
// In the dialogue a line "? text" waits until the terminal shows the text after
// what it had shown before and no longer shows what is typed; "> text" types a
// line; "^ C" presses Control and C.
func converse() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	code, err := talk(os.Args[1], exec.CommandContext(ctx, os.Args[2], os.Args[3:]...))
	if err != nil {
		fmt.Fprintln(os.Stderr, "converse:", err)
		code = 99
	}
	cancel()
	os.Exit(code)
}

// screen is what the terminal has shown.
type screen struct {
	sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	s.text.Write(bytes.ReplaceAll(b, []byte("\r"), nil))
	return len(b), nil
}

func (s *screen) String() string {
	s.Lock()
	defer s.Unlock()
	return s.text.String()
}

func talk(dialogue string, c *exec.Cmd) (int, error) {
	lines, err := os.ReadFile(dialogue)
	if err != nil {
		return 0, err
	}
	keyboard, tty, err := pty.Open()
	if err != nil {
		return 0, err
	}
	defer keyboard.Close()
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return 0, err
	}
	var shown screen
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(&shown, keyboard) // ends with an error once the terminal is closed
		close(copied)
	}()
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		return 0, err
	}
	said := (&dialog{keyboard: keyboard, tty: tty, before: before, shown: &shown}).play(string(lines))
	if said != nil {
		_ = c.Process.Kill()
	}
	_ = c.Wait()
	after, err := term.GetState(int(tty.Fd()))
	if err == nil && !reflect.DeepEqual(before, after) {
		err = errors.New("the terminal is not as it was")
	}
	_ = tty.Close()
	<-copied
	fmt.Print(shown.String())
	return c.ProcessState.ExitCode(), errors.Join(said, err)
}

type dialog struct {
	keyboard, tty *os.File
	before        *term.State
	shown         *screen
	seen          int // of what was shown
}

func (d *dialog) play(lines string) error {
	for line := range strings.Lines(lines) {
		line = strings.TrimSuffix(line, "\n")
		var err error
		switch what, text := line[:2], line[2:]; what {
		case "? ":
			err = d.await(text)
		case "> ":
			_, err = d.keyboard.WriteString(text + "\n")
		case "^ ":
			_, err = d.keyboard.Write([]byte{text[0] - '@'})
		default:
			err = fmt.Errorf("%q is no line of a dialogue", line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *dialog) await(text string) error {
	for start := time.Now(); time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		now, err := term.GetState(int(d.tty.Fd()))
		if err != nil {
			return err
		}
		if at := strings.Index(d.shown.String()[d.seen:], text); at >= 0 && !reflect.DeepEqual(now, d.before) {
			d.seen += at + len(text)
			return nil
		}
	}
	return fmt.Errorf("the terminal did not show %q, or shows what is typed", text)
}
