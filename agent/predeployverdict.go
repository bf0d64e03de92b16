package agent

import (
	"fmt"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// How long a predeploy's symptom may last, besides those of any pod.
const (
	jobGoneAfter     = 30 * time.Second // a cache may be late with a new Job, after a broken watch
	podLateAfter     = 5 * time.Second  // a cache may show a failed Job before its failed pod
	deadlineLateness = 30 * time.Second // of the Job controller, which ends a Job that takes too long
)

// reasonDeadline is the Job controller's word for a Job that took too long.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup
const reasonDeadline = "DeadlineExceeded"

// sightings are the moments from which a predeploy's symptoms count.
type sightings struct {
	started time.Time // the Job was made
	quiet   time.Time // since then the cluster shows no pod of it; zero: it shows one
	failing time.Time // since then the Job fails; zero: it does not
}

// note keeps the moments in step with an observation of now.
func (s *sightings) note(o PredeployObservation, now time.Time) {
	s.quiet = since(s.quiet, o.Missing || len(o.Pods) == 0, now)
	s.failing = since(s.failing, o.failing(), now)
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

// ended reports whether no pod of the Job can do anything any more.
func (o PredeployObservation) ended() bool { return o.Missing || o.Succeeded || o.Failed }

// failing reports whether the Job has failed, or will: the Job controller tells
// the reason before the pods have ended.
func (o PredeployObservation) failing() bool { return o.Failed || o.Reason != "" }

// judgePredeploy says what an observation of a predeploy means. It is pure.
func judgePredeploy(task spec.Task, o PredeployObservation, since sightings, now time.Time) Verdict {
	var verdict Verdict
	switch {
	case o.Succeeded:
		return Verdict{Done: true}
	case o.Missing:
		if now.Sub(since.quiet) >= jobGoneAfter {
			return failed(Cause{
				Kind: CausePredeploy, Message: "predeploy: its Job is gone: somebody deleted it before its end was seen",
				Next: "look at what the command has done, then re-run the workflow: that makes a new release, which runs it again",
			})
		}
		verdict.recheck(since.quiet.Add(jobGoneAfter))
		return verdict
	case o.failing():
		cause, shown := predeployEnd(task, o)
		if late := since.failing.Add(podLateAfter); !shown && now.Before(late) {
			verdict.recheck(late)
			return verdict
		}
		return failed(cause)
	}
	if cause := neverStarted(o, since, now, &verdict); cause != nil {
		cause.Service = "" // it is none
		return failed(*cause)
	}
	begun := later(o.StartedAt, since.started) // by two clocks: the later one is never too early
	deadline := begun.Add(task.Limit() + deadlineLateness)
	if !now.Before(deadline) {
		return failed(tooLong(task, o))
	}
	verdict.recheck(deadline)
	return verdict
}

// neverStarted returns why the command cannot begin, nil while it may.
func neverStarted(o PredeployObservation, since sightings, now time.Time, v *Verdict) *Cause {
	const name = "predeploy"
	if len(o.Pods) == 0 {
		if now.Sub(since.quiet) >= noPodsAfter {
			return noPods(name)
		}
		v.recheck(since.quiet.Add(noPodsAfter))
	}
	for _, pod := range o.Pods {
		if pod.Deleting {
			continue
		}
		for _, container := range pod.Containers {
			cause, certainAt := waitingCause(name, pod, container, since.started)
			if cause != nil && !now.Before(certainAt) {
				return cause
			}
			if cause != nil {
				v.recheck(certainAt)
			}
		}
		if cause := unschedulableCause(name, pod, since.started, now, v); cause != nil {
			return cause
		}
	}
	return nil
}

// predeployEnd is why a Job fails; shown is false if what the pods show does not
// explain it.
func predeployEnd(task spec.Task, o PredeployObservation) (cause Cause, shown bool) {
	if o.Reason == reasonDeadline {
		return tooLong(task, o), true
	}
	for _, pod := range o.Pods {
		for _, c := range pod.Containers {
			if c.Ended == 0 || c.ExitCode == 0 {
				continue
			}
			how, next := howEnded(c)
			return Cause{
				Kind: CausePredeploy, Pod: pod.Name, Container: c.Name, ExitCode: c.ExitCode,
				Message: "predeploy: " + how, Next: next,
			}, true
		}
	}
	return Cause{
		Kind: CausePredeploy, Message: fmt.Sprintf("predeploy: its pod was lost before the command ended (%s)", orElse(o.Reason, "no reason is told")),
		Next: "a node may be gone, or somebody deleted the pod: look at what the command has done, then re-run the workflow",
	}, false
}

// tooLong is the cause of a command that is not done in its time.
func tooLong(task spec.Task, o PredeployObservation) Cause {
	cause := Cause{
		Kind: CausePredeploy, Message: fmt.Sprintf("predeploy: not done within %s", task.Limit()),
		Next: "see in the log below what it waits for; a command that is only slow gets more time with predeploy.timeout in inhaul.yaml",
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
