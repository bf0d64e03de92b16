package cluster

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// annotationRevision counts the ReplicaSets of a Deployment; its controller
// writes it.
const annotationRevision = "deployment.kubernetes.io/revision"

// reasonCreateError is the Deployment controller's word when it may not make a
// ReplicaSet (pkg/controller/deployment/util of Kubernetes).
const reasonCreateError = "ReplicaSetCreateError"

// view is what the caches have of one app in one namespace.
type view struct {
	deployments []*appsv1.Deployment
	replicaSets []*appsv1.ReplicaSet
	pods        []*corev1.Pod
	slices      []*discoveryv1.EndpointSlice
}

// observe says what the view shows of r's services but its jobs, which have no
// pods that keep running. It is pure.
//
// The caches of different kinds may be of slightly different age, so nothing is
// concluded from order: a Deployment counts when it names this release and its
// controller has seen it, and a ReplicaSet is the new one when the controller
// has copied the release's number to it. A stale cache shows less, never more.
func observe(r agent.Release, v view) agent.Observation {
	var o agent.Observation
	for _, s := range r.App.LongRunning() {
		o.Services = append(o.Services, v.service(r, s))
	}
	return o
}

func (v view) service(r agent.Release, s spec.Service) agent.ServiceObservation {
	o := agent.ServiceObservation{Name: s.Name, Desired: s.Replicas}
	name, number := render.Name(r.Line.App, s.Name), strconv.Itoa(r.Number)
	i := slices.IndexFunc(v.deployments, func(d *appsv1.Deployment) bool { return d.Name == name })
	if i < 0 {
		return o
	}
	d := v.deployments[i]
	if d.Annotations[render.AnnotationRelease] != number || d.Status.ObservedGeneration < d.Generation || d.DeletionTimestamp != nil {
		return o
	}
	if d.Spec.Replicas != nil {
		o.Desired = int(*d.Spec.Replicas)
	}
	current := v.replicaSet(d, number)
	if current == nil {
		o.Refused, o.RefusedSince = createRefused(d)
		o.Observed = o.Refused != ""
		return o
	}
	o.Observed = true
	for _, condition := range current.Status.Conditions {
		if condition.Type == appsv1.ReplicaSetReplicaFailure && condition.Status == corev1.ConditionTrue {
			o.Refused, o.RefusedSince = told(condition.Message, condition.Reason), condition.LastTransitionTime.UTC()
		}
	}
	fresh := v.count(&o, s, current)
	if s.Type == spec.Web {
		o.Endpoints = v.staleEndpoints(name, fresh)
	}
	return o
}

// replicaSet returns the ReplicaSet of d for release number; nil if there is
// none yet. Of several (somebody edited the template by hand) it is the one with
// the highest revision: the controller gives that to the current template.
func (v view) replicaSet(d *appsv1.Deployment, number string) *appsv1.ReplicaSet {
	var current *appsv1.ReplicaSet
	for _, rs := range v.replicaSets {
		if !metav1.IsControlledBy(rs, d) || rs.Annotations[render.AnnotationRelease] != number {
			continue
		}
		if current == nil || revision(rs) > revision(current) {
			current = rs
		}
	}
	return current
}

func revision(rs *appsv1.ReplicaSet) int {
	n, err := strconv.Atoi(rs.Annotations[annotationRevision])
	if err != nil {
		return 0 // not numbered yet: older than any that is
	}
	return n
}

// told is what the cluster says, or else the reason that it gives: on one line,
// without secrets and not longer than an event.
func told(message, reason string) string {
	return cut(redact(printable(strings.Join(strings.Fields(cmp.Or(message, reason)), " "))), v1alpha1.MaxEvent)
}

// createRefused is why, and since when, the controller may not make the
// ReplicaSet; empty if it may.
func createRefused(d *appsv1.Deployment) (why string, since time.Time) {
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse && condition.Reason == reasonCreateError {
			return told(condition.Message, condition.Reason), condition.LastTransitionTime.UTC()
		}
	}
	return "", time.Time{}
}

// count fills in the pods and returns the UIDs of the new ones.
func (v view) count(o *agent.ServiceObservation, s spec.Service, current *appsv1.ReplicaSet) map[types.UID]bool {
	fresh := map[types.UID]bool{}
	for _, pod := range v.pods {
		owner := metav1.GetControllerOf(pod)
		if owner == nil || owner.Kind != "ReplicaSet" || pod.Labels[render.LabelService] != render.Label(s.Name) {
			continue
		}
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue // evicted or refused by its node: it has a successor
		}
		isNew, deleting := owner.UID == current.UID, pod.DeletionTimestamp != nil
		switch {
		case isNew:
			fresh[pod.UID] = true
			o.Pods = append(o.Pods, observePod(pod))
			if !deleting {
				o.Updated++
			}
		case !deleting:
			o.Old++
		}
	}
	slices.SortFunc(o.Pods, comparePods)
	return fresh
}

func comparePods(a, b agent.PodObservation) int { return cmp.Compare(a.Name, b.Name) }

// staleEndpoints counts the ready endpoints of a Service that are not new pods.
// An absent ready condition means ready, as the API has it.
func (v view) staleEndpoints(service string, fresh map[types.UID]bool) int {
	stale := map[types.UID]bool{}
	for _, slice := range v.slices {
		if slice.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.TargetRef == nil || fresh[e.TargetRef.UID] || e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			stale[e.TargetRef.UID] = true
		}
	}
	return len(stale)
}

func observePod(pod *corev1.Pod) agent.PodObservation {
	o := agent.PodObservation{Name: pod.Name, CreatedAt: pod.CreationTimestamp.UTC(), Deleting: pod.DeletionTimestamp != nil}
	for _, condition := range pod.Status.Conditions {
		switch {
		case condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue:
			o.Ready, o.ReadyAt = true, condition.LastTransitionTime.UTC()
		case condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionTrue:
			o.ScheduledAt = condition.LastTransitionTime.UTC()
		case condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse &&
			condition.Reason == corev1.PodReasonUnschedulable:
			o.Unschedulable = told(condition.Message, condition.Reason)
			o.UnschedulableSince = condition.LastTransitionTime.UTC()
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		c := observeContainer(status)
		c.MemoryLimit = memoryLimit(pod, c.Name)
		o.Containers = append(o.Containers, c)
	}
	return o
}

// memoryLimit is how much memory a container may have; empty if that is not said.
func memoryLimit(pod *corev1.Pod, container string) string {
	for _, c := range pod.Spec.Containers {
		if limit, limited := c.Resources.Limits[corev1.ResourceMemory]; limited && c.Name == container {
			return limit.String()
		}
	}
	return ""
}

// observeContainer counts the ends of a container exactly: every restart had an
// end before it, and a container that is down now has ended once more. The
// kubelet shows that as terminated, or as waiting for its next try.
func observeContainer(s corev1.ContainerStatus) agent.ContainerObservation {
	o := agent.ContainerObservation{Name: s.Name, Restarts: int(s.RestartCount), Ended: int(s.RestartCount)}
	end := s.LastTerminationState.Terminated
	switch {
	case s.State.Waiting != nil:
		o.Waiting, o.Message = s.State.Waiting.Reason, told(s.State.Waiting.Message, "")
		if o.Waiting == "CrashLoopBackOff" && end != nil {
			o.Ended++
		}
	case s.State.Running != nil:
		o.Running = true
	case s.State.Terminated != nil:
		end = s.State.Terminated
		o.Ended++
	}
	if end != nil {
		o.ExitCode, o.EndReason, o.EndMessage = int(end.ExitCode), end.Reason, told(end.Message, "")
		o.EndedAt = end.FinishedAt.UTC()
	}
	return o
}
