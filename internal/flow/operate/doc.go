// Package operate is what those who run the service do: the operator on the command line, and administrators and
// support in the console and by the API. One file a use case, over what all flows share (package flow).
//
// [Operator] is the operator; [Operator.As] is the same on an administrator's behalf, each of whose changes is an
// admin_action as well, in the same transaction. [Administrate] decides who may.
package operate
