// Package fault is the common vocabulary of errors in Gatehouse.
//
// Every package below the doors reports what went wrong as an [Error] with a
// [Kind], which says what sort of response it deserves, and a code, which is
// stable and which clients may compare. Only the package web turns a kind
// into an HTTP status; the command line turns it into an exit code.
//
// An error that is not an *Error is [Internal]: its text is logged and never
// shown to the client.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the sort of a fault.
type Kind uint8

const (
	// Internal is a bug of ours. It is the kind of every error that is not
	// an *Error.
	Internal Kind = iota
	// Invalid is input that can't be accepted from anyone.
	Invalid
	// Unauthenticated is for no credentials, or bad ones.
	Unauthenticated
	// Denied is for good credentials that don't suffice.
	Denied
	// NotFound is for a thing that is not there, or not there for this caller.
	NotFound
	// Conflict is for a thing that is there already, or has changed meanwhile.
	Conflict
	// Limited is for a caller who has asked too often.
	Limited
	// Unavailable is for a part that is missing for the moment: trying the same
	// again later is right.
	Unavailable
)

// String returns the kind's name in lower case, as logs and metrics use it.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case Unauthenticated:
		return "unauthenticated"
	case Denied:
		return "denied"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case Limited:
		return "limited"
	case Unavailable:
		return "unavailable"
	default:
		return "internal"
	}
}

// Error is a fault that its receiver can act on.
type Error struct {
	Kind Kind
	// Code is stable and in snake_case; api/openapi.yaml lists those that
	// leave the server.
	Code string
	// Message is for people: one sentence or two that say what is wrong and how
	// to mend it. It must be fit to be shown to the client.
	Message string
	// Field names the part of the input at fault, if there is one.
	Field string
	// RetryAfter is how long to wait before trying again; zero if unknown.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

// New returns a fault of the kind, with its code and message.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Field returns an Invalid fault about one field of the input.
func Field(field, code, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e with its cause set, for the log.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Error returns the message, and the cause behind it if there is one.
func (e *Error) Error() string {
	s := e.Message
	if s == "" {
		s = e.Code
	}
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether the target is a fault of the same kind and code, so that
// errors.Is(err, flow.ErrInvalidCredentials) holds for a copy that carries a
// cause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// As returns the *Error in err's chain, or nil if there is none.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// KindOf returns the kind of err: Internal unless it is an *Error.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Internal
}
