package render

import (
	"strconv"

	"github.com/inhaul/inhaul/agent"
)

// Manager is the value of the managed-by label of everything that Inhaul makes,
// and its field manager in server-side apply.
const Manager = "inhaul"

// The labels on every object, pod and namespace. A pod has LabelService,
// LabelTask or LabelDatabase, and one of them alone: no Service and no Deployment of
// the app's services selects the pods of a task or of a database.
const (
	LabelManagedBy   = "app.kubernetes.io/managed-by"
	LabelName        = "app.kubernetes.io/name"
	LabelPartOf      = "app.kubernetes.io/part-of"
	LabelApp         = "inhaul.dev/app"
	LabelService     = "inhaul.dev/service"
	LabelTask        = "inhaul.dev/task" // "predeploy", "seed" or "teardown"
	LabelEnvironment = "inhaul.dev/environment"
	LabelGroup       = "inhaul.dev/group" // of apps that share a preview's namespace; on that alone
)

// The annotations. AnnotationRelease and AnnotationCommit are on Deployments and
// the Jobs of tasks only; the Deployment controller copies them to the
// ReplicaSet that belongs to the template, which is how that ReplicaSet is told
// from older ones.
const (
	AnnotationRelease = "inhaul.dev/release"
	AnnotationCommit  = "inhaul.dev/commit"
	AnnotationService = "inhaul.dev/service-name" // the service's name as inhaul.yaml has it
	// AnnotationScale is on a Deployment whose number of pods follows the load:
	// "MIN-MAX". It is rendered with MIN; whoever applies it keeps the live number,
	// clamped, so that a deploy takes no pods from a busy service.
	AnnotationScale = "inhaul.dev/scale"
	// AnnotationManual is "true" on a CronJob that runs only when somebody asks.
	AnnotationManual = "inhaul.dev/manual"
)

// PortName is the name of a web service's port.
const PortName = "http"

func appLabels(r agent.Release) map[string]string {
	return map[string]string{
		LabelManagedBy:   Manager,
		LabelPartOf:      label(r.Line.App),
		LabelApp:         label(r.Line.App),
		LabelEnvironment: label(r.Line.Environment),
	}
}

// releaseAnnotations say which release wrote an object.
func (s service) releaseAnnotations() map[string]string {
	annotations := map[string]string{
		AnnotationRelease: strconv.Itoa(s.release.Number),
		AnnotationService: s.Name,
	}
	if s.release.Source.Commit != "" {
		annotations[AnnotationCommit] = s.release.Source.Commit
	}
	return annotations
}

// NamespaceLabels are the labels of the namespace of r.
//
// The warn level of Pod Security makes kubectl and the agent's log tell what a
// hardened cluster would refuse; it refuses nothing.
func NamespaceLabels(r agent.Release) map[string]string {
	return map[string]string{
		LabelManagedBy:                    Manager,
		LabelApp:                          label(r.Line.App),
		LabelEnvironment:                  label(r.Line.Environment),
		"pod-security.kubernetes.io/warn": "restricted",
	}
}
