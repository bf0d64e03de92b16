package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

var _ agent.Databases = (*Client)(nil)

// makeable fails if r has what no render.Platform can have: databases elsewhere than
// in a preview.
func (c *Client) makeable(r agent.Release) error {
	if len(r.App.Databases) == 0 {
		return nil
	}
	if _, _, _, is := c.previewOf(r); !is {
		return refused(r, "it has databases, which previews alone have: give their variables a value in secrets")
	}
	return nil
}

// databasePlatform fills in what the databases of r are made of.
//
// One that has run, or that has a volume, stays what it was made of: to change it would
// be to lose what is in it, for a word of the platform owner that was about others.
func (c *Client) databasePlatform(r agent.Release, on *render.Platform) error {
	if len(r.App.Databases) == 0 {
		return nil
	}
	policy := c.previewPolicy(r)
	preview, _ := c.Preview(r.Line)
	on.Databases, on.Preview = map[string]agent.DatabaseClass{}, preview.UID
	if policy.Clone != nil {
		on.CloneFrom = policy.Clone.Namespace
	}
	for _, d := range r.App.Databases {
		live, _ := c.cached("Deployment", r.Namespace, render.DatabaseName(r.Line.App, d)).(*appsv1.Deployment)
		if class, kept := classOf(live); kept && (class.Storage != "" || hasRun(live)) {
			on.Databases[d.Name] = class
			continue
		}
		class, err := policy.Class(d)
		if err != nil {
			rejected := refused(r, "database "+d.Name+": "+err.Error())
			rejected.Setting = "databases." + d.Name
			return rejected
		}
		on.Databases[d.Name] = class
	}
	return nil
}

// previewPolicy is what the platform owner says of previews of r's app; the zero
// value if nothing.
func (c *Client) previewPolicy(r agent.Release) agent.PreviewPolicy {
	for _, app := range c.Apps() {
		if app.Name == r.Line.App && app.PreviewPolicy != nil {
			return *app.PreviewPolicy
		}
	}
	return agent.PreviewPolicy{}
}

// classOf is what a database was made of; false if there is none.
func classOf(live *appsv1.Deployment) (class agent.DatabaseClass, known bool) {
	if live == nil || live.DeletionTimestamp != nil {
		return class, false
	}
	err := json.Unmarshal([]byte(live.Annotations[render.AnnotationClass]), &class)
	return class, err == nil && class.Image != ""
}

// hasRun reports whether the pod of a database has ever been ready. Its controller
// says so for as long as the template is the same, whatever becomes of the pod.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment
func hasRun(made *appsv1.Deployment) bool {
	return made.Status.ReadyReplicas > 0 || slices.ContainsFunc(made.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && c.Reason == reasonComplete
	})
}

// reasonComplete is the Deployment controller's word for a template whose pods have
// been available (pkg/controller/deployment/util of Kubernetes).
const reasonComplete = "NewReplicaSetAvailable"

// serving are the objects of r that are there while it serves.
func serving(r agent.Release, on render.Platform) ([]*unstructured.Unstructured, error) {
	objects, err := render.Objects(r, on)
	if err != nil {
		return nil, err
	}
	databases, err := render.Databases(r, on)
	return append(objects, databases...), err
}

// StartDatabases makes sure that r's databases are there, each with credentials and a
// volume, both of which are created and never written again. All of it is tried in a
// dry run first. The credentials are in no inventory: like the volume they stay for as
// long as the namespace does, so that a database which comes back has its own.
func (c *Client) StartDatabases(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	if err := c.readable(r); err != nil || len(r.App.Databases) == 0 {
		return nil, err
	}
	p, err := c.prepare(ctx, r, nil, render.Databases)
	if err != nil {
		return nil, err
	}
	if err := c.makeClaims(ctx, r, []string{metav1.DryRunAll}); err != nil {
		return nil, err
	}
	if err := c.carryOut(ctx, r, p); err != nil {
		return nil, err
	}
	// Last: a volume without credentials is one whose password nobody knows.
	return p.inventory(), c.makeClaims(ctx, r, nil)
}

// makeClaims creates the volumes of r's databases that are not there.
func (c *Client) makeClaims(ctx context.Context, r agent.Release, dryRun []string) error {
	on := render.Platform{}
	if err := c.databasePlatform(r, &on); err != nil {
		return err
	}
	for _, d := range r.App.Databases {
		claim, err := render.DatabaseClaim(r, d, on.Databases[d.Name])
		if err != nil {
			return refused(r, err.Error())
		}
		if claim == nil {
			continue
		}
		at := agent.Object{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name}
		requestCtx, cancel := bounded(ctx)
		_, err = c.clients.core.PersistentVolumeClaims(claim.Namespace).Create(requestCtx, claim, metav1.CreateOptions{FieldManager: render.Manager, DryRun: dryRun})
		cancel()
		if apierrors.IsAlreadyExists(err) {
			there, readErr := c.claim(ctx, at)
			if readErr != nil {
				return readErr
			}
			err = nil
			if there != nil {
				err = sameOwner(at, there, claim.Labels)
			}
		}
		if err != nil {
			return c.rejected(at, err, redact)
		}
	}
	return nil
}

// claim reads a volume; nil if there is none.
func (c *Client) claim(ctx context.Context, at agent.Object) (*corev1.PersistentVolumeClaim, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, err := c.clients.core.PersistentVolumeClaims(at.Namespace).Get(ctx, at.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", at.Kind, at.Name, err)
	}
	return there, nil
}

// WatchDatabases calls see with what the caches show of r's databases, at once and
// then whenever something of its app changed, until see returns true (nil) or ctx ends
// (its error). It sends no request.
func (c *Client) WatchDatabases(ctx context.Context, r agent.Release, see func([]agent.DatabaseObservation) bool) error {
	return c.listen(ctx, r, func() bool { return see(observeDatabases(r, c.view(r))) })
}

// observeDatabases says how r's databases are. It is pure.
func observeDatabases(r agent.Release, v view) []agent.DatabaseObservation {
	all := make([]agent.DatabaseObservation, 0, len(r.App.Databases))
	for _, d := range r.App.Databases {
		all = append(all, v.database(r, d))
	}
	return all
}

func (v view) database(r agent.Release, d spec.Database) agent.DatabaseObservation {
	o := agent.DatabaseObservation{Name: d.Name, Type: d.Type, Missing: true}
	name := render.DatabaseName(r.Line.App, d)
	i := slices.IndexFunc(v.deployments, func(d *appsv1.Deployment) bool { return d.Name == name })
	if i < 0 || v.deployments[i].DeletionTimestamp != nil {
		return o
	}
	made := v.deployments[i]
	o.Missing = false
	for _, pod := range v.pods {
		owner := metav1.GetControllerOf(pod)
		if owner == nil || !slices.ContainsFunc(v.replicaSets, func(rs *appsv1.ReplicaSet) bool { return rs.UID == owner.UID && metav1.IsControlledBy(rs, made) }) {
			continue
		}
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed { // it has a successor
			o.Pods = append(o.Pods, observePod(pod))
		}
	}
	slices.SortFunc(o.Pods, comparePods)
	// While one pod takes the place of another, the ready one is that which goes.
	settled := made.Status.ObservedGeneration >= made.Generation && made.Status.UpdatedReplicas == made.Status.Replicas && len(o.Pods) == 1
	o.Ready = settled && hasRun(made) && o.Pods[0].Ready && !o.Pods[0].Deleting
	return o
}
