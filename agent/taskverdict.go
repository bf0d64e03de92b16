package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// How long a task's symptom may last, besides those of any pod.
const (
	jobGoneAfter     = 30 * time.Second // a cache may be late with a new Job, after a broken watch
	podLateAfter     = 5 * time.Second  // a cache may show a failed Job before its failed pod
	deadlineLateness = 30 * time.Second // of the Job controller, which ends a Job that takes too long
)

// reasonDeadline is the Job controller's word for a Job that took too long.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup
const reasonDeadline = "DeadlineExceeded"

// Sightings are the moments from which a task's symptoms count.
type Sightings struct {
	Started time.Time // the Job was made
	Quiet   time.Time // since then the cluster shows no pod of it; zero: it shows one
	Failing time.Time // since then the Job fails; zero: it does not
	Looked  time.Time // the first look of this agent
}

// Note keeps the moments in step with an observation of now.
func (s *Sightings) Note(o PredeployObservation, now time.Time) {
	if s.Looked.IsZero() {
		s.Looked = now
	}
	s.Quiet = since(s.Quiet, o.Missing || len(o.Pods) == 0, now)
	s.Failing = since(s.Failing, o.failing(), now)
}

// since is the moment from which a symptom lasts; the zero time without it.
func since(before time.Time, lasts bool, now time.Time) time.Time {
	switch {
	case !lasts:
		return time.Time{}
	case before.IsZero():
		return now
	}
	return before
}

// ended reports whether no pod of the Job can do anything any more. A Job that
// somebody deletes may leave one behind that is still being told to end.
func (o PredeployObservation) ended() bool {
	return o.Succeeded || o.Failed || o.Missing && len(o.Pods) == 0
}

// failing reports whether the Job has failed, or will: the Job controller tells
// the reason before the pods have ended.
func (o PredeployObservation) failing() bool { return o.Failed || o.Reason != "" }

// JudgeTask says what an observation of a task's Job means. It is pure: now is when
// the observation was made.
func JudgeTask(kind TaskKind, task spec.Task, o PredeployObservation, since Sightings, now time.Time) Verdict {
	var verdict Verdict
	t := trial{kind: kind, service: spec.Service{Name: string(kind), CPU: task.CPU, Memory: task.Memory}, since: since.Started, now: now, verdict: &verdict}
	var cause *Cause
	switch {
	case o.Succeeded:
		return Verdict{Done: true}
	case o.Missing:
		cause = t.cancelled(o, since)
	case o.failing():
		cause = t.taskEnd(task, o, since)
	default:
		if cause = t.neverStarted(o, since); cause == nil {
			cause = t.overdue(task, o, since)
		}
	}
	if cause == nil {
		return verdict
	}
	cause.Service = "" // it is none
	if kind == TaskSeed && !o.Missing {
		cause.Next = strings.TrimSuffix(cause.Next, ".") + "; the seed runs again with the next push"
	}
	return verdict.failed(*cause)
}

// How the messages of a task begin that was not let end; the check tells them
// from those of a command that failed.
const (
	taskCancelled = "cancelled"
	taskLate      = "not done within"
)

// cancelled is the cause of a Job that is not there any more: at once if the API
// server says so, and else once no cache can be as late as that.
func (t trial) cancelled(o PredeployObservation, since Sightings) *Cause {
	gone := o.Evidence != nil && o.Evidence.Missing
	if !gone && !o.Evidence.fresh(t.now) {
		t.verdict.ask(Question{Job: true, Name: o.Name})
	}
	if !gone && t.waitUntil(since.Quiet.Add(jobGoneAfter)) {
		return nil
	}
	cause := t.cause(t.kind.failure(), taskCancelled+": somebody deleted its Job before its end was seen",
		"look at what the command has done, then re-run the workflow: that makes a new release, which runs it again")
	for _, pod := range o.Pods {
		cause.Pod = pod.Name
		for _, c := range pod.Containers {
			cause.Container = c.Name
		}
	}
	return cause
}

// neverStarted returns why the command cannot begin, nil while it may.
func (t trial) neverStarted(o PredeployObservation, since Sightings) *Cause {
	if len(o.Pods) == 0 {
		return t.noTaskPod(o, since)
	}
	for _, pod := range o.Pods {
		if pod.Deleting {
			continue
		}
		for _, container := range pod.Containers {
			if cause := t.certain(t.waitingCause(pod, container)); cause != nil {
				return cause
			}
		}
		if cause := t.unschedulableCause(pod); cause != nil {
			return cause
		}
	}
	return nil
}

// noTaskPod is the cause of a Job without a pod. The Job controller tells in
// an event alone that it may not make one.
func (t trial) noTaskPod(o PredeployObservation, since Sightings) *Cause {
	if t.waitUntil(since.Quiet.Add(uncertainFor)) {
		return nil
	}
	if !o.Evidence.fresh(t.now) {
		t.verdict.ask(Question{Job: true, Name: o.Name})
	}
	if event := o.Evidence.newest(func(e Event) bool { return e.Reason == "FailedCreate" }); event != nil {
		return t.refusal(event.Message)
	}
	if t.waitUntil(since.Quiet.Add(noPodsAfter)) {
		return nil
	}
	return t.noPods()
}

// taskEnd is why a Job fails. What the pods show may explain it a moment
// later than the Job does.
func (t trial) taskEnd(task spec.Task, o PredeployObservation, since Sightings) *Cause {
	if o.Reason == reasonDeadline {
		return t.tooLong(task, o)
	}
	for _, pod := range o.Pods {
		for _, c := range pod.Containers {
			if c.Ended == 0 || c.ExitCode == 0 {
				continue
			}
			if cause := t.cannotRun(pod, c); cause != nil {
				return cause
			}
			if c.EndReason == "StartError" || c.EndReason == "ContainerCannotRun" {
				return t.of(pod, c, t.startCause(orElse(c.EndMessage, c.EndReason)))
			}
			how, next := howEnded(c)
			cause := t.of(pod, c, t.cause(t.kind.failure(), how, next))
			if outOfMemory(c) {
				cause.Setting = t.setting(settingMemory)
			}
			return cause
		}
	}
	if t.waitUntil(since.Failing.Add(podLateAfter)) {
		return nil
	}
	return t.cause(t.kind.failure(), fmt.Sprintf("its pod was lost before the command ended (%s)", orElse(o.Reason, "no reason is told")),
		"a node may be gone, or somebody deleted the pod: look at what the command has done, then re-run the workflow")
}

// overdue is the cause of a command that nobody ends though its time is over.
func (t trial) overdue(task spec.Task, o PredeployObservation, since Sightings) *Cause {
	begun := later(o.StartedAt, t.since)     // by two clocks: the later one is never too early
	enough := since.Looked.Add(uncertainFor) // at the first look the clock may have been set meanwhile
	if t.waitUntil(later(begun.Add(task.Limit()+deadlineLateness), enough)) {
		return nil
	}
	return t.tooLong(task, o)
}

// tooLong is the cause of a command that is not done in its time.
func (t trial) tooLong(task spec.Task, o PredeployObservation) *Cause {
	cause := t.cause(t.kind.failure(), fmt.Sprintf(taskLate+" %s", task.Limit()),
		"see in the log below what it waits for; a command that is only slow gets more time with "+string(t.kind)+".timeout in inhaul.yaml")
	cause.Setting = t.setting(settingTimeout)
	if t.kind == TaskTeardown {
		cause.Next = "what it left behind is to be looked for by hand; it gets more time with spec.previews.teardownTimeout of the App, which is the platform owner's word, and with teardown.timeout in inhaul.yaml"
	}
	for _, pod := range o.Pods {
		cause.Pod = pod.Name
		for _, c := range pod.Containers {
			cause.Container = c.Name
			if c.Waiting != "" && c.Ended == 0 {
				cause.Message += ": the container never started: " + orElse(c.Message, c.Waiting)
				cause.Next = "look at the events below"
			}
		}
	}
	return cause
}
