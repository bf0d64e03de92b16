package agent

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// nodePatience is how long a pod may wait for a node that an autoscaler adds:
// cloud machines take 1 to 5 minutes to join, those with GPUs and large images
// longer. The rollout's own deadline stands above it.
const nodePatience = 10 * time.Minute

// unreadPatience is how much longer a pod without a node is waited for if the
// cluster does not tell its events: one of them could be an autoscaler's answer.
const unreadPatience = 30 * time.Second

// unschedulableCause judges a pod that the scheduler may have no node for.
func (t trial) unschedulableCause(pod PodObservation) *Cause {
	if pod.Unschedulable == "" {
		return nil
	}
	since := later(pod.UnschedulableSince, t.since)
	if t.waitUntil(since.Add(unschedulableAfter)) {
		return nil
	}
	cause := t.cause(CauseUnschedulable, "no node takes the pod: "+strings.TrimSuffix(pod.Unschedulable, "."), "ask for less cpu or memory in inhaul.yaml"+t.request()+", or add nodes")
	cause.Pod = pod.Name
	if says(pod.Unschedulable, "untolerated taint", "node affinity", "node selector") {
		cause.Next = "ask the platform owner: the nodes that have room are reserved (taints), or not of the kind that the pod asks for"
	}
	if says(pod.Unschedulable, "persistentvolumeclaim", "volume node affinity") {
		cause.Next = "look at the volume claims of the namespace (kubectl get pvc): a disk is not there, or bound to another zone"
	}
	if !pod.Evidence.fresh(t.now) {
		t.verdict.ask(Question{Name: pod.Name})
		return cause
	}
	if pod.Evidence.Unread && t.now.Sub(since) < unschedulableAfter+unreadPatience {
		t.verdict.recheck(pod.Evidence.At.Add(evidenceAge))
		return nil
	}
	answer := pod.Evidence.newest(fromAutoscaler)
	switch {
	case answer == nil:
		return cause
	case !addsNode(*answer):
		cause.Message += "; the node autoscaler cannot help: " + answer.Message
		return cause
	case t.now.Sub(since) >= nodePatience:
		cause.Message += fmt.Sprintf("; a node autoscaler answered (%s), and none came within %s", answer.Message, nodePatience)
		cause.Next = "ask the platform owner why no node came: the cloud's quota or capacity, or a node that does not join"
		return cause
	}
	t.verdict.Waits = t.service.Name + " waits for a node that the autoscaler adds: " + answer.Message
	t.verdict.recheck(pod.Evidence.At.Add(evidenceAge))
	t.verdict.recheck(since.Add(nodePatience))
	return nil
}

// request is what one pod asks for, in words; empty if that is not known.
func (t trial) request() string {
	if t.service.CPU == "" || t.service.Memory == "" {
		return ""
	}
	return fmt.Sprintf(" (a pod of %s asks for %s and %s of memory)", t.service.Name, cpus(t.service.CPU), t.service.Memory)
}

// cpus is a quantity of Kubernetes in words: "0.25 CPUs" for 250m.
func cpus(quantity string) string {
	if milli, is := strings.CutSuffix(quantity, "m"); is {
		if n, err := strconv.Atoi(milli); err == nil {
			quantity = strconv.FormatFloat(float64(n)/1000, 'f', -1, 64)
		}
	}
	if quantity == "1" {
		return "1 CPU"
	}
	return quantity + " CPUs"
}

// fromAutoscaler reports whether an event of a pod is a node autoscaler's answer.
// The scheduler's own FailedScheduling is none.
//
// Cluster Autoscaler says TriggeredScaleUp ("pod triggered scale-up: [{…}]") or
// NotTriggerScaleUp ("pod didn't trigger scale-up: …"):
// https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/processors/status/eventing_scale_up_processor.go
//
// Karpenter says Nominated ("Pod should schedule on: nodeclaim/…") or, as itself,
// FailedScheduling ("Failed to schedule pod, …"):
// https://github.com/kubernetes-sigs/karpenter/blob/main/pkg/controllers/provisioning/scheduling/events.go
// EKS Auto Mode is Karpenter under the name eks-auto-mode/compute:
// https://docs.aws.amazon.com/eks/latest/userguide/auto-troubleshoot.html
func fromAutoscaler(e Event) bool {
	switch e.Reason {
	case "TriggeredScaleUp", "NotTriggerScaleUp", "Nominated":
		return true
	case "FailedScheduling":
		return strings.Contains(e.Source, "karpenter") || strings.HasPrefix(e.Source, "eks-auto-mode")
	}
	return false
}

func addsNode(e Event) bool { return e.Reason == "TriggeredScaleUp" || e.Reason == "Nominated" }
