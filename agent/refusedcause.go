package agent

import "time"

// refusedPods is the cause when the API server does not let a controller make
// pods. It may be only until an old pod has made room; a pod security standard
// does not change its mind.
func (t trial) refusedPods(s ServiceObservation) *Cause {
	certainAt := later(s.RefusedSince, t.since).Add(uncertainFor)
	if says(s.Refused, "violates podsecurity") {
		certainAt = time.Time{}
	}
	return t.certain(t.refusal(s.Refused), certainAt)
}

// refusal is the cause when pods are refused with that word.
func (t trial) refusal(word string) *Cause {
	kind, next := refusedBy(word)
	return t.cause(kind, "the cluster refuses to make pods: "+word, next)
}

// refusedBy tells who refuses an object, by the API server's word, and what to do
// about it.
//
// The words: plugin resourcequota and limitranger, admission/plugin/webhook and
// admission/plugin/policy of k8s.io/apiserver; k8s.io/pod-security-admission.
func refusedBy(word string) (CauseKind, string) {
	switch {
	case says(word, "failed quota", "must specify"):
		return CauseQuota, "the namespace's quota wants every pod to say what it needs: set cpu and memory in inhaul.yaml"
	case says(word, "exceeded quota"):
		return CauseQuota, "raise the quota of the namespace (kubectl describe quota), or ask for less cpu, memory or fewer replicas in inhaul.yaml"
	case says(word, "usage per container is", "usage per pod is", "limit to request ratio"):
		return CauseQuota, "the namespace has limits for a single pod (kubectl describe limitrange): ask for what they allow in inhaul.yaml"
	case says(word, "violates podsecurity"):
		return CauseAdmission, "the namespace enforces a pod security standard: run the image as a user that is not root (USER 1000 in the Dockerfile), or ask the platform owner for another standard"
	case says(word, "failed calling webhook", "failed to call webhook"):
		return CauseAdmission, "an admission webhook of the cluster does not answer: ask the platform owner, then re-run the workflow"
	case says(word, "admission webhook", "denied the request", "denied request", "validatingadmissionpolicy"):
		return CauseAdmission, "a policy of the cluster denies this: change what it names in inhaul.yaml or in the image, or ask the platform owner for an exception"
	}
	return CauseRejected, "mend inhaul.yaml, or ask the platform owner about the cluster's admission rules"
}
