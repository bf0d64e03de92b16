package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// How long a symptom may last before the release has failed. Kubernetes itself
// gives up after 600 s (progressDeadlineSeconds) and sometimes never, so these
// run on the agent's clock, from the moment when the objects were applied.
const (
	unschedulableAfter = 20 * time.Second // room for a scheduler's retry and a node that just joins
	noPodsAfter        = 30 * time.Second // the controller has made no pod at all
	rolloutDeadline    = 15 * time.Minute // whatever else keeps it from being done, see deadline
	deadlineSlack      = 5 * time.Minute  // for what a rollout does beside waiting for its slowest service
	uncertainFor       = 10 * time.Second // a symptom that may pass: the kubelet and the controllers try again meanwhile
	settleTime         = 3 * time.Second  // a worker has no probe: it is ready once it has run this long
	maxEnds            = 2                // a container that ended twice crashes
)

// Verdict is what an observation means for its release.
type Verdict struct {
	Done    bool
	Cause   *Cause    // why it failed; nil when Done means success
	ReadyAt time.Time // when the last new pod became Ready; success only
	Recheck time.Time // look again then even if nothing changes; zero: no need
	Message string    // one line of progress: "web 1/2, worker 1/1"
}

// Judge says what an observation means. It is pure: applied is when the
// release's objects were written, now is when the observation was made.
func Judge(r Release, o Observation, applied, now time.Time) Verdict {
	verdict := Verdict{Done: true}
	var progress []string
	for _, service := range r.App.LongRunning() {
		i := slices.IndexFunc(o.Services, func(s ServiceObservation) bool { return s.Name == service.Name })
		if i < 0 || !o.Services[i].Observed {
			verdict.Done = false
			progress = append(progress, service.Name+" waiting")
			verdict.recheck(applied.Add(noPodsAfter))
			if now.Sub(applied) >= noPodsAfter {
				return failed(Cause{
					Kind: CauseNoProgress, Service: service.Name,
					Message: fmt.Sprintf("%s: the cluster has not acted on the new version for %s", service.Name, noPodsAfter),
					Next:    "look at the health of kube-controller-manager: kubectl get componentstatuses, kubectl get events -A",
				})
			}
			continue
		}
		s := o.Services[i]
		ready := verdict.countReady(s, settle(r, service), now)
		progress = append(progress, fmt.Sprintf("%s %d/%d", s.Name, ready, s.Desired))
		if cause := causeOf(s, service.ReadyTimeout(), applied, now, &verdict); cause != nil {
			if cause.ofOnePod() && enough(service, s, ready) {
				continue
			}
			return failed(*cause)
		}
		if ready < s.Desired || s.Updated < s.Desired || s.Old > 0 || s.Endpoints > 0 {
			verdict.Done = false
		}
	}
	verdict.Message = strings.Join(progress, ", ")
	if limit := deadline(r); !verdict.Done {
		verdict.recheck(applied.Add(limit))
		if now.Sub(applied) >= limit {
			return failed(Cause{
				Kind: CauseNoProgress, Message: fmt.Sprintf("the rollout was not done within %s: %s", limit, verdict.Message),
				Next: "look at the pods of the namespace: old ones may not be able to end, or new ones are not ready",
			})
		}
	}
	return verdict
}

// deadline is how long the whole rollout may take: a service that is slow to be
// ready has its time.
func deadline(r Release) time.Duration {
	limit := rolloutDeadline
	for _, s := range r.App.LongRunning() {
		limit = max(limit, s.ReadyTimeout()+deadlineSlack)
	}
	return limit
}

// settle is how long a ready pod has to run before it counts. A worker has no
// probe, so Kubernetes calls it ready as soon as its process exists; one that
// dies at once must not turn a check green. What was good before is trusted.
func settle(r Release, s spec.Service) time.Duration {
	if s.Type == spec.Web || r.Reason == ReasonRollback {
		return 0
	}
	return settleTime
}

// enough reports whether a service that scales has taken over with as many pods
// as it has to have. What its scaler asks for beyond them, and does not get, is
// not the release's fault: the old pods, all gone, were as many.
func enough(service spec.Service, s ServiceObservation, ready int) bool {
	return service.Scale.Scales() && s.Old == 0 && s.Endpoints == 0 && ready >= max(service.Scale.Min, 1)
}

// ofOnePod reports whether the cause is that one pod more finds no place, or is
// not ready: unlike the others it says nothing of the version.
func (c Cause) ofOnePod() bool {
	return c.Kind == CauseUnschedulable || c.Kind == CauseNotReady || c.Kind == CauseRejected
}

// countReady counts the new pods that are ready and have settled.
func (v *Verdict) countReady(s ServiceObservation, settle time.Duration, now time.Time) int {
	ready := 0
	for _, pod := range s.Pods {
		if !pod.Ready || pod.Deleting {
			continue
		}
		if settled := pod.ReadyAt.Add(settle); settle > 0 && now.Before(settled) {
			v.recheck(settled)
			continue
		}
		ready++
		v.ReadyAt = later(v.ReadyAt, pod.ReadyAt)
	}
	return ready
}

func failed(c Cause) Verdict { return Verdict{Done: true, Cause: &c, Message: c.Message} }

func (v *Verdict) recheck(at time.Time) {
	if v.Recheck.IsZero() || at.Before(v.Recheck) {
		v.Recheck = at
	}
}

// causeOf returns why the service has failed, nil while it may still come up.
// What speaks against the version itself is told first.
func causeOf(s ServiceObservation, readyTimeout time.Duration, applied, now time.Time, v *Verdict) *Cause {
	for _, pod := range s.Pods {
		if pod.Deleting {
			continue
		}
		for _, container := range pod.Containers {
			cause, certainAt := containerCause(s.Name, pod, container, applied)
			if cause != nil && !now.Before(certainAt) {
				return cause
			}
			if cause != nil {
				v.recheck(certainAt)
			}
		}
	}
	refused := s.Refused != "" && s.Updated < s.Desired
	if refused { // perhaps only until an old pod has made room
		since := later(s.RefusedSince, applied)
		if now.Sub(since) >= uncertainFor {
			return &Cause{
				Kind: CauseRejected, Service: s.Name, Message: s.Name + ": the cluster refuses to make pods: " + s.Refused,
				Next: "raise the quota of the namespace, or ask for less cpu, memory or fewer replicas in inhaul.yaml",
			}
		}
		v.recheck(since.Add(uncertainFor))
	}
	if len(s.Pods) == 0 && s.Desired > 0 && !refused {
		v.recheck(applied.Add(noPodsAfter))
		if now.Sub(applied) >= noPodsAfter {
			return noPods(s.Name)
		}
	}
	for _, pod := range s.Pods {
		if pod.Deleting {
			continue
		}
		if cause := podCause(s.Name, pod, readyTimeout, applied, now, v); cause != nil {
			return cause
		}
	}
	return nil
}

// noPods is the cause when no controller makes a pod.
func noPods(name string) *Cause {
	return &Cause{
		Kind: CauseNoProgress, Service: name, Message: fmt.Sprintf("%s: no pod was made within %s", name, noPodsAfter),
		Next: "look at the events of the namespace: kubectl get events --sort-by=.lastTimestamp",
	}
}

// waitingCause judges why the kubelet says that a container waits; since is when
// its pod was asked for. The cause counts from certainAt on, if the kubelet still
// says the same then; the zero time is at once.
//
// The reasons are the kubelet's own: pkg/kubelet/images/types.go and
// pkg/kubelet/kuberuntime/kuberuntime_container.go of Kubernetes.
func waitingCause(service string, pod PodObservation, c ContainerObservation, since time.Time) (known *Cause, certainAt time.Time) {
	cause := Cause{Service: service, Pod: pod.Name, Container: c.Name, ExitCode: c.ExitCode}
	switch c.Waiting {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
		cause.Kind = CauseImagePull
		cause.Message = fmt.Sprintf("%s: the image cannot be pulled: %s", service, orElse(c.Message, c.Waiting))
		cause.Next = "check that the image exists in the registry and that the nodes may pull it"
		switch {
		case hopelessPull(c):
			return &cause, time.Time{}
		case c.Waiting == "ErrImagePull" || c.Waiting == "RegistryUnavailable":
			return nil, time.Time{} // the kubelet's first try; ImagePullBackOff is its next word
		}
		return &cause, later(pod.CreatedAt, since).Add(uncertainFor)
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError", "PostStartHookError":
		cause.Kind = CauseConfig
		cause.Message = fmt.Sprintf("%s: the container cannot be started: %s", service, orElse(c.Message, c.Waiting))
		cause.Next = "check the command (run) and its env in inhaul.yaml"
		if says(c.Message, "failed to sync", "timed out", "deadline exceeded") { // the kubelet's caches, a busy node
			return &cause, later(c.WaitingSince, later(pod.CreatedAt, since)).Add(uncertainFor)
		}
		return &cause, time.Time{}
	}
	return nil, time.Time{}
}

// containerCause judges what the kubelet says of one container of a service; see
// waitingCause for certainAt.
func containerCause(service string, pod PodObservation, c ContainerObservation, applied time.Time) (known *Cause, certainAt time.Time) {
	if cause, certainAt := waitingCause(service, pod, c, applied); cause != nil {
		return cause, certainAt
	}
	if !crashed(pod, c, applied) {
		return nil, time.Time{}
	}
	how, next := howEnded(c)
	if c.EndReason == "Completed" {
		how, next = "exit code 0: a service has to keep running", "check the command (run): it ended by itself"
	}
	return &Cause{
		Kind: CauseCrash, Service: service, Pod: pod.Name, Container: c.Name, ExitCode: c.ExitCode,
		Message: fmt.Sprintf("%s: the container ended %d times, last with %s", service, c.Ended, how), Next: next,
	}, time.Time{}
}

// hopelessPull reports whether a registry or the kubelet gave an answer that will
// not change by asking again. Anything else may be the network's fault.
func hopelessPull(c ContainerObservation) bool {
	return c.Waiting == "InvalidImageName" || c.Waiting == "ErrImageNeverPull" ||
		says(c.Message, "not found", "manifest unknown", "unauthorized", "denied", "forbidden", "invalid reference", "no match for platform")
}

// says reports whether text has one of the phrases, which are lower-case.
func says(text string, phrases ...string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(text, phrase) })
}

// crashed reports whether a container has ended maxEnds times under this release.
//
// Every end of a pod that was made for it counts. A pod from before it (of a
// service that the release left as it was) may have restarted long ago, and the
// kubelet tells the time of the last end alone. So of such a pod only those ends
// count that came after the agent's first look, and only while it is down. That
// also holds for a new pod that looks old because clocks differ: it had not
// ended at the first look.
func crashed(pod PodObservation, c ContainerObservation, applied time.Time) bool {
	second := applied.Truncate(time.Second) // Kubernetes tells times in whole seconds
	if !pod.CreatedAt.Before(second) {
		return c.Ended >= maxEnds
	}
	return c.Ended-c.EndedBefore >= maxEnds && !c.Running && !c.EndedAt.Before(second)
}

// howEnded tells a container's last end, and what to do about it.
func howEnded(c ContainerObservation) (how, next string) {
	next = "read the log below; run the image locally with the same env"
	switch {
	case c.EndReason == "OOMKilled":
		return "out of memory (OOMKilled)", "raise memory in inhaul.yaml, or make it need less"
	case c.ExitCode > 128: // 128 + signal, as a shell has it
		return fmt.Sprintf("exit code %d (signal %d)", c.ExitCode, c.ExitCode-128), next
	}
	return fmt.Sprintf("exit code %d", c.ExitCode), next
}

// podCause judges a pod that is not Ready by the time it had.
func podCause(service string, pod PodObservation, readyTimeout time.Duration, applied, now time.Time, v *Verdict) *Cause {
	if pod.Ready {
		return nil
	}
	if pod.Unschedulable != "" {
		return unschedulableCause(service, pod, applied, now, v)
	}
	since := later(pod.CreatedAt, applied)
	if now.Sub(since) >= readyTimeout {
		cause := &Cause{
			Kind: CauseNotReady, Service: service, Pod: pod.Name,
			Message: fmt.Sprintf("%s: runs, but was not ready within %s", service, readyTimeout),
			Next:    "check that the process listens on the port of the service (PORT) and answers the health path; a slow start gets more time with health.timeout",
		}
		if len(pod.Containers) > 0 {
			cause.Container = pod.Containers[0].Name
		}
		return cause
	}
	v.recheck(since.Add(readyTimeout))
	return nil
}

// unschedulableCause judges a pod that the scheduler may have no node for.
func unschedulableCause(service string, pod PodObservation, applied, now time.Time, v *Verdict) *Cause {
	if pod.Unschedulable == "" {
		return nil
	}
	since := later(pod.UnschedulableSince, applied)
	if now.Sub(since) >= unschedulableAfter {
		return &Cause{
			Kind: CauseUnschedulable, Service: service, Pod: pod.Name,
			Message: fmt.Sprintf("%s: no node takes the pod: %s", service, pod.Unschedulable),
			Next:    "ask for less cpu or memory in inhaul.yaml, or add nodes",
		}
	}
	v.recheck(since.Add(unschedulableAfter))
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func orElse(text, fallback string) string {
	if text != "" {
		return text
	}
	return fallback
}
