package fault_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

var kinds = []fault.Kind{
	fault.Internal, fault.Invalid, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Conflict, fault.Limited, fault.Unavailable,
}

func TestKindsHaveNamesOfTheirOwn(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]bool{}
	for _, k := range kinds {
		if name := k.String(); !snake.MatchString(name) || seen[name] {
			t.Errorf("kind %d is called %q, which is another's name or no name for a metric", k, name)
		}
		seen[k.String()] = true
	}
	if name := fault.Kind(200).String(); name != "internal" {
		t.Errorf("an unknown kind is called %q", name)
	}
}

func TestKindOfFindsTheFaultWhereverItStands(t *testing.T) {
	gone := fault.New(fault.NotFound, "gone", "It is gone.")
	for name, c := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"none":               {nil, fault.Internal},
		"a plain error":      {io.EOF, fault.Internal},
		"a fault":            {gone, fault.NotFound},
		"wrapped":            {fmt.Errorf("while looking: %w", gone), fault.NotFound},
		"joined":             {errors.Join(io.EOF, gone), fault.NotFound},
		"with a fault in it": {fault.New(fault.Unavailable, "away", "").Because(gone), fault.Unavailable},
	} {
		if got := fault.KindOf(c.err); got != c.kind {
			t.Errorf("%s: kind %s, want %s", name, got, c.kind)
		}
		if found := fault.As(c.err) != nil; found != (c.kind != fault.Internal) {
			t.Errorf("%s: a fault was found: %v", name, found)
		}
	}
}

func TestIsComparesKindAndCodeAlone(t *testing.T) {
	bad := fault.New(fault.Unauthenticated, "invalid_token", "One text.")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"itself":                  {bad, true},
		"a copy with a cause":     {bad.Because(io.EOF), true},
		"another text":            {fault.New(fault.Unauthenticated, "invalid_token", "Another."), true},
		"wrapped":                 {fmt.Errorf("at the door: %w", bad.Because(io.EOF)), true},
		"another code":            {fault.New(fault.Unauthenticated, "invalid_refresh", "One text."), false},
		"another kind":            {fault.New(fault.Denied, "invalid_token", "One text."), false},
		"a plain error, its text": {errors.New(bad.Error()), false},
	} {
		if got := errors.Is(c.err, bad); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestBecauseLeavesTheOriginalAlone(t *testing.T) {
	shared := &fault.Error{Kind: fault.Limited, Code: "slow_down", Message: "Slow down.", Field: "email", RetryAfter: time.Minute}
	before := *shared
	caused := shared.Because(io.ErrUnexpectedEOF)
	if !errors.Is(caused, io.ErrUnexpectedEOF) {
		t.Error("the cause is not in the chain")
	}
	if diff := cmp.Diff(before, *shared); diff != "" {
		t.Errorf("a fault that all share was changed:\n%s", diff)
	}
	caused.Err = nil
	if diff := cmp.Diff(before, *caused); diff != "" {
		t.Errorf("but for its cause the copy differs:\n%s", diff)
	}
}

func TestErrorSaysFieldMessageAndCause(t *testing.T) {
	for want, err := range map[string]error{
		"It is gone.":                      fault.New(fault.NotFound, "gone", "It is gone."),
		"gone":                             fault.New(fault.NotFound, "gone", ""),
		"It is gone.: EOF":                 fault.New(fault.NotFound, "gone", "It is gone.").Because(io.EOF),
		"name: At most 100 characters.":    fault.Field("name", "name_too_long", "At most %d characters.", 100),
		"name: Not %s.: unexpected EOF":    fault.Field("name", "n", "%s", "Not %s.").Because(io.ErrUnexpectedEOF),
		"name: name_too_long":              fault.Field("name", "name_too_long", ""),
		"outer: It is gone.: EOF (log it)": fmt.Errorf("outer: %w (log it)", fault.New(fault.NotFound, "gone", "It is gone.").Because(io.EOF)),
	} {
		if got := err.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if k := fault.Field("name", "n", "m").Kind; k != fault.Invalid {
		t.Errorf("a fault about a field is %s", k)
	}
}
