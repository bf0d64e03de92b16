package agent

import (
	"fmt"
	"time"
)

// crashed reports whether a container has ended maxEnds times under this release.
//
// Every end of a pod that was made for it counts. A pod from before it (of a
// service that the release left as it was) may have restarted long ago, and the
// kubelet tells the time of the last end alone. So of such a pod only those ends
// count that came after the agent's first look, and only while it is down. That
// also holds for a new pod that looks old because clocks differ: it had not
// ended at the first look.
func (t trial) crashed(pod PodObservation, c ContainerObservation) bool {
	if t.made(pod) {
		return c.Ended >= maxEnds
	}
	second := t.since.Truncate(time.Second) // Kubernetes tells times in whole seconds
	return c.Ended-c.EndedBefore >= maxEnds && !c.Running && !c.EndedAt.Before(second)
}

// crashCause is the cause of a container that has ended maxEnds times.
func (t trial) crashCause(pod PodObservation, c ContainerObservation) *Cause {
	if c.EndReason == "StartError" || c.EndReason == "ContainerCannotRun" {
		return t.of(pod, c, t.startCause(orElse(c.EndMessage, c.EndReason)))
	}
	if !pod.Evidence.fresh(t.now) || !pod.Evidence.Logged || pod.Evidence.At.Before(c.EndedAt) {
		t.verdict.ask(Question{Name: pod.Name, Container: c.Name})
	}
	line := lastLine(pod.Evidence.log())
	if cause := t.executeCause(line, c.ExitCode); cause != nil && executeFailed(c) {
		return t.of(pod, c, cause)
	}
	if cause := t.killedByProbe(pod, c); cause != nil {
		return t.of(pod, c, cause)
	}
	how, next := howEnded(c)
	kind := CauseCrash
	message := fmt.Sprintf("the container ended %d times, last with %s", c.Ended, how)
	switch {
	case outOfMemory(c):
		kind = CauseOutOfMemory
		message = fmt.Sprintf("out of memory: the container reached %s and was killed (OOMKilled); it ended %d times", memoryLimit(c), c.Ended)
	case c.EndReason == "Completed":
		message = fmt.Sprintf("the container ended %d times, last with exit code 0: a service has to keep running", c.Ended)
		next = "check the command (run): it ended by itself"
	case c.ExitCode == exitNotFound:
		kind = CauseConfig
		message = "the shell does not find the command (exit code 127)"
		if line != "" {
			message += ": " + line
		}
	}
	cause := t.of(pod, c, t.cause(kind, message, next))
	if c.EndReason == "Completed" || kind == CauseConfig {
		cause = t.atRun(cause)
	}
	return cause
}

// The exit codes of a shell that cannot run its command.
//
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func outOfMemory(c ContainerObservation) bool { return c.EndReason == "OOMKilled" }

// memoryLimit is what a container may have, in words.
func memoryLimit(c ContainerObservation) string {
	if c.MemoryLimit == "" {
		return "its memory limit"
	}
	return "its memory limit of " + c.MemoryLimit
}

// howEnded tells a container's last end, and what to do about it.
func howEnded(c ContainerObservation) (how, next string) {
	how, next = fmt.Sprintf("exit code %d", c.ExitCode), "read the log below; run the image locally with the same env"
	switch {
	case outOfMemory(c):
		return "out of memory (OOMKilled): it reached " + memoryLimit(c),
			"raise memory in inhaul.yaml, or make it need less: a runtime with a heap of its own (Java, Node.js) has to know the limit, and every worker process counts"
	case c.ExitCode == exitNotFound:
		next = "check run in inhaul.yaml: the image may lack the program, or PATH the place that it is in"
	case c.ExitCode == exitNotExecutable:
		next = "check run in inhaul.yaml: the shell finds the file and cannot execute it; it needs chmod +x, and the CPU of the node"
	case c.ExitCode > signalBase:
		signal := signalName(c.ExitCode - signalBase)
		how += " (" + signal + ")"
		switch signal {
		case "SIGKILL":
			next = "somebody killed it: a process of it that reached " + memoryLimit(c) + ", perhaps; raise memory in inhaul.yaml if the log below ends in the middle of work"
		case "SIGTERM":
			next = "it was told to end: see in the events below whether the kubelet did that, for a liveness check perhaps"
		case "SIGSEGV", "SIGBUS", "SIGILL":
			next = "the program crashed in native code: look for a library that does not fit the image (musl and glibc, another CPU), and read the log below"
		}
	}
	return how, next
}

// signalBase and a signal are the exit code of who was ended by that, as a shell
// and the container runtimes have it.
const signalBase = 128

// signalName is the name of a signal of Linux, "signal 42" for one that is rare.
//
// https://man7.org/linux/man-pages/man7/signal.7.html
func signalName(number int) string {
	names := [...]string{
		1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
		9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
		24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
	}
	if number > 0 && number < len(names) && names[number] != "" {
		return names[number]
	}
	return fmt.Sprintf("signal %d", number)
}
