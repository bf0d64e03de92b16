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
	rolloutDeadline    = 15 * time.Minute // whatever else keeps it from being done
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
	for _, service := range r.App.Services {
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
		if cause := causeOf(s, service.ReadyTimeout(), applied, now, &verdict); cause != nil {
			return failed(*cause)
		}
		ready := verdict.countReady(s, settle(r, service), now)
		progress = append(progress, fmt.Sprintf("%s %d/%d", s.Name, ready, s.Desired))
		if ready < s.Desired || s.Updated < s.Desired || s.Old > 0 || s.Endpoints > 0 {
			verdict.Done = false
		}
	}
	verdict.Message = strings.Join(progress, ", ")
	if !verdict.Done {
		verdict.recheck(applied.Add(rolloutDeadline))
		if now.Sub(applied) >= rolloutDeadline {
			return failed(Cause{
				Kind: CauseNoProgress, Message: fmt.Sprintf("the rollout was not done within %s: %s", rolloutDeadline, verdict.Message),
				Next: "look at the pods of the namespace: old ones may not be able to end, or new ones are not ready",
			})
		}
	}
	return verdict
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
func causeOf(s ServiceObservation, readyTimeout time.Duration, applied, now time.Time, v *Verdict) *Cause {
	if s.Refused != "" {
		return &Cause{
			Kind: CauseRejected, Service: s.Name, Message: s.Name + ": the cluster refuses to make pods: " + s.Refused,
			Next: "raise the quota of the namespace, or ask for less cpu, memory or fewer replicas in inhaul.yaml",
		}
	}
	if len(s.Pods) == 0 && s.Desired > 0 {
		v.recheck(applied.Add(noPodsAfter))
		if now.Sub(applied) >= noPodsAfter {
			return &Cause{
				Kind: CauseNoProgress, Service: s.Name, Message: fmt.Sprintf("%s: no pod was made within %s", s.Name, noPodsAfter),
				Next: "look at the events of the namespace: kubectl get events --sort-by=.lastTimestamp",
			}
		}
	}
	for _, pod := range s.Pods {
		if pod.Deleting {
			continue
		}
		for _, container := range pod.Containers {
			if cause := containerCause(s.Name, pod, container, applied); cause != nil {
				return cause
			}
		}
		if cause := podCause(s.Name, pod, readyTimeout, applied, now, v); cause != nil {
			return cause
		}
	}
	return nil
}

// containerCause judges what the kubelet says of one container.
//
// The reasons are the kubelet's own: pkg/kubelet/images/types.go and
// pkg/kubelet/kuberuntime/kuberuntime_container.go of Kubernetes.
func containerCause(service string, pod PodObservation, c ContainerObservation, applied time.Time) *Cause {
	cause := Cause{Service: service, Pod: pod.Name, Container: c.Name, ExitCode: c.ExitCode}
	switch c.Waiting {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
		cause.Kind = CauseImagePull
		cause.Message = fmt.Sprintf("%s: the image cannot be pulled: %s", service, orElse(c.Message, c.Waiting))
		cause.Next = "check that the image exists in the registry and that the nodes may pull it"
		return &cause
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError", "PostStartHookError":
		cause.Kind = CauseConfig
		cause.Message = fmt.Sprintf("%s: the container cannot be started: %s", service, orElse(c.Message, c.Waiting))
		cause.Next = "check the command (run) and the env of the service in inhaul.yaml"
		return &cause
	}
	// A service that this release left as it was may have restarted long ago.
	if c.Ended < maxEnds || !c.EndedAt.IsZero() && c.EndedAt.Before(applied.Truncate(time.Second)) {
		return nil
	}
	cause.Kind = CauseCrash
	how := fmt.Sprintf("exit code %d", c.ExitCode)
	cause.Next = "read the log below; run the image locally with the same env"
	switch {
	case c.EndReason == "OOMKilled":
		how = "out of memory (OOMKilled)"
		cause.Next = "raise memory of the service in inhaul.yaml, or make it need less"
	case c.EndReason == "Completed":
		how = "exit code 0: a service has to keep running"
		cause.Next = "check the command (run): it ended by itself"
	case c.ExitCode > 128: // 128 + signal, as a shell has it
		how = fmt.Sprintf("exit code %d (signal %d)", c.ExitCode, c.ExitCode-128)
	}
	cause.Message = fmt.Sprintf("%s: the container ended %d times, last with %s", service, c.Ended, how)
	return &cause
}

// podCause judges a pod that is not Ready by the time it had.
func podCause(service string, pod PodObservation, readyTimeout time.Duration, applied, now time.Time, v *Verdict) *Cause {
	if pod.Ready {
		return nil
	}
	if pod.Unschedulable != "" {
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
