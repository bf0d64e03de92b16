package agent

import (
	"regexp"
	"strings"
	"time"
)

// The kubelet's and the runtime's words for what is missing.
//
// pkg/kubelet/kubelet_pods.go of Kubernetes; libcontainer of runc, which quotes
// the command that it does not find.
var (
	missingKey    = regexp.MustCompile(`couldn't find key (\S+) in (Secret|ConfigMap) (\S+)`)
	missingObject = regexp.MustCompile(`(?i)\b(secret|configmap) "([^"]+)" not found`)
	command       = regexp.MustCompile(`exec: \\?"([^"\\]+)\\?": (.*)`)
	executed      = regexp.MustCompile(`(?i)^(?:standard_init_linux\.go:\d+: )?exec (?:user process caused: )?(/\S*?)?:? ?(exec format error|no such file or directory|permission denied)$`)
)

// startCause is the cause of a container that cannot be made or started, by what
// the kubelet says.
func (t trial) startCause(message string) *Cause {
	const again = "somebody deleted it after it was made: re-run the workflow, which makes it anew"
	if key := missingKey.FindStringSubmatch(message); key != nil {
		return t.cause(kindOf(key[2]), "there is no key "+key[1]+" in "+key[2]+" "+key[3], again)
	}
	if missing := missingObject.FindStringSubmatch(message); missing != nil {
		return t.cause(kindOf(missing[1]), "there is no "+missing[1]+" "+quote(missing[2])+" any more", again)
	}
	if cause := t.commandCause(message); cause != nil {
		return cause
	}
	next := "check the command (run) and its env in inhaul.yaml"
	switch {
	case says(message, "runasnonroot"):
		next = "the image has to run as a user that is not root: put a number into the Dockerfile, such as USER 1000"
	case says(message, "no command specified"):
		return t.atRun(t.cause(CauseConfig, "the container cannot be started: "+message, "the image has no command: set run in inhaul.yaml, or CMD in the Dockerfile"))
	case says(message, "deadline exceeded", "timed out", "failed to sync"):
		next = "the node is too busy, or its disk is slow: re-run the workflow, and ask the platform owner about the node if it lasts"
	}
	return t.cause(CauseConfig, "the container cannot be started: "+message, next)
}

// kindOf is the cause when an object of that kind, or a key of it, is missing.
func kindOf(object string) CauseKind {
	if strings.EqualFold(object, "secret") {
		return CauseSecret
	}
	return CauseConfig
}

// commandCause is the cause of a command that cannot be executed; nil if message
// says nothing of the kind.
func (t trial) commandCause(message string) *Cause {
	name, trouble := "", message
	if found := command.FindStringSubmatch(message); found != nil {
		name, trouble = " "+quote(found[1]), found[2]
	}
	switch {
	case says(trouble, "exec format error"):
		return t.cause(CauseArchitecture, "the command"+name+" is for another CPU than the node's (exec format error)", nextArchitecture)
	case name == "":
	case says(trouble, "executable file not found", "no such file or directory"):
		next := "check run in inhaul.yaml, and that the Dockerfile puts the program there, in a folder of PATH"
		if says(name, `/sh"`, `"sh"`) {
			next = "the image has no shell, which run as one text needs: write run as a list, or take an image that has one"
		}
		return t.atRun(t.cause(CauseConfig, "there is no command"+name+" in the image", next))
	case says(trouble, "permission denied"):
		return t.atRun(t.cause(CauseConfig, "the command"+name+" may not be executed (permission denied)", nextExecutable))
	}
	return nil
}

// nextExecutable is what to do about a command that may not be executed.
const nextExecutable = "make the file executable in the Dockerfile (chmod +x), for the user that the image runs as"

func quote(text string) string { return `"` + text + `"` }

// cannotRun is the cause of a container whose first end says already that no
// other will be better: the runtime could not execute its command.
func (t trial) cannotRun(pod PodObservation, c ContainerObservation) *Cause {
	if c.Ended == 0 || !t.made(pod) {
		return nil
	}
	if c.EndReason == "StartError" || c.EndReason == "ContainerCannotRun" {
		if cause := t.commandCause(c.EndMessage); cause != nil {
			return t.of(pod, c, cause)
		}
		return nil
	}
	if !executeFailed(c) {
		return nil
	}
	if pod.Evidence == nil || !pod.Evidence.Logged {
		t.verdict.ask(Question{Name: pod.Name, Container: c.Name})
		return nil
	}
	if cause := t.executeCause(lastLine(pod.Evidence.Log), c.ExitCode); cause != nil {
		return t.of(pod, c, cause)
	}
	return nil
}

// exitNotStarted is the exit code of a container whose program runc could not
// execute; its older versions end with 1. The log then has runc's word for it.
//
// https://github.com/opencontainers/runc/blob/v1.1.12/init.go
const exitNotStarted = 255

// executeFailed reports whether the container's last end may have been before its
// program began.
func executeFailed(c ContainerObservation) bool {
	return !outOfMemory(c) && (c.ExitCode == 1 || c.ExitCode == exitNotExecutable || c.ExitCode == exitNotStarted)
}

// executeCause is the cause if line, the last of the log of a container that ended
// with that exit code, is runc's or a shell's word for a program that cannot be
// executed. A program may say the like of another one, and end with 1.
func (t trial) executeCause(line string, exitCode int) *Cause {
	found := executed.FindStringSubmatch(line)
	switch {
	case found == nil && (exitCode == 1 || !says(line, "exec format error")):
		return nil
	case says(line, "exec format error"):
		return t.cause(CauseArchitecture, "the program is for another CPU than the node's: "+line, nextArchitecture)
	case says(line, "permission denied"):
		return t.atRun(t.cause(CauseConfig, "the command may not be executed: "+line, nextExecutable))
	}
	script := "the command"
	if found[1] != "" {
		script = quote(found[1])
	}
	return t.atRun(t.cause(CauseConfig, "the interpreter of "+script+" is not in the image: "+line,
		"look at the first line of the script: it may name a shell that the image does not have, or end like a line of Windows (CRLF)"))
}

// lastLine is the last line of a log that is not blank.
func lastLine(log string) string {
	log = strings.TrimRight(log, " \t\r\n")
	return strings.TrimSpace(log[strings.LastIndexByte(log, '\n')+1:])
}

// made reports whether a pod was made for this release. Kubernetes tells times in
// whole seconds.
func (t trial) made(pod PodObservation) bool {
	return !pod.CreatedAt.Before(t.since.Truncate(time.Second))
}
