package render

import (
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// TaskClone is the LabelTask of the Job that fills a new database from another one.
const TaskClone = "clone"

// How long a clone has that says nothing itself, and how long its Job stays after its
// end: for somebody to read its log, and no longer, for it is nobody's to prune.
const (
	defaultCloneTime = 15 * time.Minute
	cloneStays       = time.Hour
)

// CloneName is the name of the Job that fills a database, and of the Secret with the
// URL of it. The UID is that of its credentials, for a preview that comes again has
// other databases than before.
func CloneName(credentials string, r agent.Release, d spec.Database) string {
	return label("clone-" + credentials + "-" + strings.TrimPrefix(DatabaseName(r.Line.App, d), label(r.Line.App)+"--"))
}

// ClonedName is the name of the ConfigMap which says that the database has been
// filled.
func ClonedName(r agent.Release, d spec.Database) string {
	return DatabaseName(r.Line.App, d) + ".cloned"
}

// Clone is the Job of that name that fills database d of r, whose preview has that
// UID. It runs
// where the platform owner wants it to, once, with the URL of the source from the
// owner's Secret, and that of the database from a Secret of its own name.
//
// It does not carry the label of the app: it is no object of the app in the
// namespace where it runs, which may well be one where the app is deployed.
func Clone(r agent.Release, d spec.Database, name, uid string, h agent.CloneHook) *batchv1.Job {
	limit := h.Timeout
	if limit <= 0 {
		limit = defaultCloneTime
	}
	labels := CloneLabels(uid)
	url := func(name, secret string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: CredentialsURL,
		}}}
	}
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: h.Namespace, Labels: labels,
			Annotations: map[string]string{"kubernetes.io/description": "Fills database " + d.Name + " of preview " + r.Line.Environment + " of " + r.Line.App + "."},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:            new(int32(0)),
			ActiveDeadlineSeconds:   new(seconds(limit)),
			TTLSecondsAfterFinished: new(int32(cloneStays / time.Second)),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{
					Name: TaskClone, Image: h.Image, Command: h.Command,
					Env: []corev1.EnvVar{url("SOURCE_URL", h.Source), url("TARGET_URL", name)},
					SecurityContext: &corev1.SecurityContext{
						AllowPrivilegeEscalation: new(false),
						Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					},
				}},
				AutomountServiceAccountToken: new(false),
				EnableServiceLinks:           new(false),
				SecurityContext:              &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			}},
		},
	}
}

// CloneLabels are the labels of the Job that fills a database of the preview with that
// UID, and of what belongs to it.
func CloneLabels(uid string) map[string]string {
	return map[string]string{LabelManagedBy: Manager, LabelTask: TaskClone, LabelPreview: uid}
}
