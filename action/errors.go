package action

import (
	"errors"
	"strconv"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// UserError is a failure that its reader can mend: Message says what is wrong,
// Next what to do about it.
type UserError struct {
	Message string
	Next    string
	File    string // of the repository, if a file is wrong
	Line    int    // from 1; 0 if not known
}

func (e *UserError) Error() string {
	if e.Next == "" {
		return e.Message
	}
	return e.Message + "\nNext: " + e.Next
}

func userError(message, next string) error { return &UserError{Message: message, Next: next} }

// messageOf is what is wrong, without what to do about it.
func messageOf(err error) string {
	if user, ok := errors.AsType[*UserError](err); ok {
		return user.Message
	}
	return err.Error()
}

// The exit codes of the Action.
const (
	exitUser = 1 // the user's to mend
	exitOurs = 2 // ours, or the network's
)

// ExitCode is 0 for nil, 1 for what the user can mend, 2 for the rest.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	_, mendable := errors.AsType[*UserError](err)
	_, mistakes := errors.AsType[spec.Errors](err)
	if mendable || mistakes {
		return exitUser
	}
	return exitOurs
}

// maxAnnotations is how many errors of one step GitHub shows.
// https://docs.github.com/en/rest/checks/runs: "10 warning annotations and 10 error annotations per step"
const maxAnnotations = 10

// annotate shows err where GitHub shows mistakes: beside the line if it has one.
func (a *Action) annotate(err error) {
	if err == nil {
		return
	}
	gh := a.github()
	if mistakes, ok := errors.AsType[spec.Errors](err); ok {
		for _, m := range mistakes[:min(len(mistakes), maxAnnotations)] {
			gh.WithFieldsMap(map[string]string{"file": m.File, "line": strconv.Itoa(m.Line), "col": strconv.Itoa(m.Column), "title": "inhaul"}).
				Errorf("%s", m.Message)
		}
		// A log has no lines beside it, and all of them.
		a.infof("%s", mistakes.Error())
		return
	}
	fields := map[string]string{"title": "inhaul"}
	if user, ok := errors.AsType[*UserError](err); ok && user.File != "" {
		fields["file"] = user.File
		if user.Line > 0 {
			fields["line"] = strconv.Itoa(user.Line)
		}
	}
	gh.WithFieldsMap(fields).Errorf("%s", err.Error())
}

// quiet keeps foreign text in the log from being a workflow command: the runner
// obeys "::" at the start of any line and "##[" anywhere.
func quiet(text string) string {
	return strings.NewReplacer("::", ":\u200b:", "##[", "#\u200b#[").Replace(text)
}
