package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// trial is what a service, or a task, is judged by.
type trial struct {
	kind    TaskKind     // empty: of a service
	service spec.Service // of a task: its name and what it asks for
	since   time.Time    // when its objects were written: no symptom counts from before
	now     time.Time
	verdict *Verdict // gets the moments to look again, and the questions
}

// cause is one of the service, with nothing of a pod.
func (t trial) cause(kind CauseKind, message, next string) *Cause {
	return &Cause{Kind: kind, Service: t.service.Name, Setting: t.settingFor(kind), Message: t.service.Name + ": " + message, Next: next}
}

// of is a cause that a container showed.
func (t trial) of(pod PodObservation, c ContainerObservation, cause *Cause) *Cause {
	cause.Pod, cause.Container, cause.ExitCode = pod.Name, c.Name, c.ExitCode
	return cause
}

// unseen is the cause when the cluster has not acted on the service in time.
func (t trial) unseen() *Cause {
	if t.waitUntil(t.since.Add(noPodsAfter)) {
		return nil
	}
	return t.cause(CauseNoProgress, fmt.Sprintf("the cluster has not acted on the new version for %s", noPodsAfter),
		"look at the health of kube-controller-manager: kubectl get componentstatuses, kubectl get events -A")
}

// waitUntil reports whether it is too early, and notes to look again then.
func (t trial) waitUntil(at time.Time) bool {
	if !t.now.Before(at) {
		return false
	}
	t.verdict.recheck(at)
	return true
}

// causeOf returns why the service has failed, nil while it may still come up.
// What speaks against the version itself is told first.
func (t trial) causeOf(s ServiceObservation) *Cause {
	pods := slices.DeleteFunc(slices.Clone(s.Pods), func(p PodObservation) bool { return p.Deleting })
	for _, pod := range pods {
		for _, container := range pod.Containers {
			if cause := t.certain(t.containerCause(pod, container)); cause != nil {
				return cause
			}
		}
	}
	refused := s.Refused != "" && s.Updated < s.Desired
	if refused {
		if cause := t.refusedPods(s); cause != nil {
			return cause
		}
	}
	if len(s.Pods) == 0 && s.Desired > 0 && !refused && !t.waitUntil(t.since.Add(noPodsAfter)) {
		return t.noPods()
	}
	for _, pod := range pods {
		if cause := t.podCause(pod); cause != nil {
			return cause
		}
	}
	return nil
}

// certain returns a cause once it counts. The zero time is at once.
func (t trial) certain(cause *Cause, certainAt time.Time) *Cause {
	if cause == nil || t.waitUntil(certainAt) {
		return nil
	}
	return cause
}

// noPods is the cause when no controller makes a pod.
func (t trial) noPods() *Cause {
	return t.cause(CauseNoProgress, fmt.Sprintf("no pod was made within %s", noPodsAfter),
		"look at the events of the namespace: kubectl get events --sort-by=.lastTimestamp")
}

// containerCause judges what the kubelet says of one container of a service. The
// cause counts from certainAt on, if the kubelet still says the same then; the
// zero time is at once.
func (t trial) containerCause(pod PodObservation, c ContainerObservation) (known *Cause, certainAt time.Time) {
	if cause, certainAt := t.waitingCause(pod, c); cause != nil {
		return cause, certainAt
	}
	if cause := t.cannotRun(pod, c); cause != nil {
		return cause, time.Time{}
	}
	if t.crashed(pod, c) {
		return t.crashCause(pod, c), time.Time{}
	}
	return nil, time.Time{}
}

// waitingCause judges why the kubelet says that a container waits; see
// containerCause for certainAt.
//
// The reasons are the kubelet's own: pkg/kubelet/images/types.go and
// pkg/kubelet/kuberuntime/kuberuntime_container.go of Kubernetes.
func (t trial) waitingCause(pod PodObservation, c ContainerObservation) (known *Cause, certainAt time.Time) {
	switch c.Waiting {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		return t.pullCause(pod, c)
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError", "PostStartHookError":
		cause := t.of(pod, c, t.startCause(orElse(c.Message, c.Waiting)))
		if says(c.Message, "failed to sync", "timed out", "deadline exceeded", "is reserved for") { // the kubelet's caches, a busy node
			return cause, later(c.WaitingSince, pod.begun(t.since)).Add(uncertainFor)
		}
		return cause, time.Time{}
	}
	return nil, time.Time{}
}

// says reports whether text has one of the phrases, which are lower-case.
func says(text string, phrases ...string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(text, phrase) })
}
