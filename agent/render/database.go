package render

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// LabelDatabase is on what belongs to a database, its pod too, in the place of
// LabelService.
const LabelDatabase = "inhaul.dev/database"

// AnnotationClass is on the Deployment of a database: the agent.DatabaseClass that it
// was made of, in JSON.
const AnnotationClass = "inhaul.dev/database-class"

// The keys of the Secret that has the credentials of a database.
const (
	CredentialsURL      = "url"
	CredentialsPassword = "password"
)

// databaseUser is the user of a database, and the name of the database in it.
const databaseUser = "app"

// How a database is found to take connections.
const (
	databaseProbeSeconds = 2 // between two looks: seed and predeploy wait for it
	databaseProbeTimeout = 5 // seconds; a client program has to start first
)

// databaseData is where the data of a database is.
const databaseData = "/data"

// emptyData bounds the data of a database without a volume: it is on the disk of a
// node, which others need too.
const emptyData = "2Gi"

// redisUser is a user that is nobody's: Redis and what speaks its protocol run as
// any.
const redisUser = 999

// kind is how databases of one type are run.
type kind struct {
	port      int32
	url       string // of user, password and host
	container func(secret string, kept bool) corev1.Container
	security  corev1.PodSecurityContext
}

// kindOf returns how databases of the type are run; nil for one that is unknown.
func kindOf(d spec.Database) *kind {
	group, whenNew := int64(redisUser), corev1.FSGroupChangeOnRootMismatch
	security := corev1.PodSecurityContext{
		FSGroup: &group, FSGroupChangePolicy: &whenNew,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	switch d.Type {
	case "postgres":
		return &kind{port: 5432, url: "postgres://" + databaseUser + ":%s@%s:5432/" + databaseUser + "?sslmode=disable", container: postgres, security: security}
	case "redis":
		security.RunAsUser, security.RunAsGroup, security.RunAsNonRoot = &group, &group, new(true)
		return &kind{port: 6379, url: "redis://:%s@%s:6379/0", container: redis, security: security}
	}
	return nil
}

// postgres is PostgreSQL as the official images run it: their entry point begins as
// root, makes its folder, and goes on as the user of the image, whatever that is.
//
// The folder is one of ours because that of the images has changed with PostgreSQL 18,
// and a volume that the image declares below it would be another one after a crash. The
// probe goes by TCP: while the database is being made it listens on a socket alone.
func postgres(secret string, _ bool) corev1.Container {
	return corev1.Container{
		Env: []corev1.EnvVar{
			{Name: "POSTGRES_USER", Value: databaseUser},
			{Name: "POSTGRES_DB", Value: databaseUser},
			secretVariableOf("POSTGRES_PASSWORD", secret),
			{Name: "PGDATA", Value: databaseData + "/postgres"},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities: &corev1.Capabilities{
				Drop: []corev1.Capability{"ALL"},
				Add:  []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
			},
		},
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
			Command: []string{"pg_isready", "-q", "-h", "127.0.0.1", "-U", databaseUser, "-d", databaseUser},
		}}},
	}
}

// redis is Redis, or what speaks its protocol. It takes no connection before it can
// answer, so that no client program is needed to see that.
func redis(secret string, kept bool) corev1.Container {
	args := []string{"redis-server", "--dir", databaseData, "--requirepass", "$(REDIS_PASSWORD)"}
	if kept {
		args = append(args, "--appendonly", "yes")
	} else {
		args = append(args, "--appendonly", "no", "--save", "")
	}
	return corev1.Container{
		Args: args,
		Env:  []corev1.EnvVar{secretVariableOf("REDIS_PASSWORD", secret)},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(portDatabase)}}},
	}
}

// portDatabase is the name of the port of a database.
const portDatabase = "database"

func secretVariableOf(name, secret string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: CredentialsPassword,
	}}}
}

// DatabaseName is the name of the objects of a database of an app. It begins with the
// app's and two hyphens, which no service of the app can have. Type and version are in
// it: a database of another version is another one, which is empty, and the old one
// is there for as long as a release that has it serves.
func DatabaseName(app string, d spec.Database) string {
	return label(strings.TrimSuffix(app+"--"+d.Name+"-"+d.Type+"-"+d.Version, "-"))
}

// CredentialsName is the name of the Secret that has the credentials of a database.
func CredentialsName(app string, d spec.Database) string {
	return DatabaseName(app, d) + ".credentials"
}

// DatabaseURL is where a release finds its database; empty for a type that is unknown.
// It holds in all of the cluster.
func DatabaseURL(r agent.Release, d spec.Database, password string) string {
	k := kindOf(d)
	if k == nil {
		return ""
	}
	return fmt.Sprintf(k.url, password, DatabaseName(r.Line.App, d)+"."+r.Namespace+".svc")
}

// Databases returns the objects of the databases of r, in the order of Allowed, but
// for their volumes (see DatabaseClaim) and credentials (see CredentialsName), which
// are made once. Each is one pod, reached by the pods of the app in its own namespace
// and by nobody else but the Job that fills it.
func Databases(r agent.Release, p Platform) ([]*unstructured.Unstructured, error) {
	taken := map[string]string{}
	for _, s := range r.App.Services {
		taken[Name(r.Line.App, s.Name)] = "service " + s.Name
	}
	made := set{}
	for _, d := range r.App.Databases {
		name := DatabaseName(r.Line.App, d)
		if other, is := taken[name]; is {
			return nil, fmt.Errorf("%s and database %s would both be named %q: rename one", other, d.Name, name)
		}
		taken[name] = "database " + d.Name
		class, known := p.Databases[d.Name]
		k := kindOf(d)
		if !known || k == nil {
			return nil, fmt.Errorf("database %q: the platform has none of type %q", d.Name, d.Type)
		}
		deployment, err := k.deployment(r, d, class)
		if err != nil {
			return nil, fmt.Errorf("database %q: %w", d.Name, err)
		}
		made.add("Deployment", deployment)
		made.add("Service", k.service(r, d))
		made.add("NetworkPolicy", k.policy(r, d, p))
	}
	return made.objects()
}

func databaseMeta(r agent.Release, d spec.Database) metav1.ObjectMeta {
	labels := appLabels(r)
	labels[LabelName], labels[LabelDatabase] = label(d.Type), label(d.Name)
	return metav1.ObjectMeta{Name: DatabaseName(r.Line.App, d), Namespace: r.Namespace, Labels: labels}
}

// databaseSelector are the pods of the database. Those of another version are not.
func databaseSelector(r agent.Release, d spec.Database) map[string]string {
	return map[string]string{LabelApp: label(r.Line.App), LabelDatabase: label(d.Name), labelInstance: DatabaseName(r.Line.App, d)}
}

// labelInstance tells the databases of one name and several versions apart.
const labelInstance = "app.kubernetes.io/instance"

func (k *kind) deployment(r agent.Release, d spec.Database, class agent.DatabaseClass) (*appsv1.Deployment, error) {
	cpu, err := resource.ParseQuantity(class.CPU)
	if err != nil {
		return nil, fmt.Errorf("reading cpu %q: %w", class.CPU, err)
	}
	memory, err := resource.ParseQuantity(class.Memory)
	if err != nil {
		return nil, fmt.Errorf("reading memory %q: %w", class.Memory, err)
	}
	made, err := json.Marshal(class)
	if err != nil {
		return nil, err
	}
	meta := databaseMeta(r, d)
	meta.Annotations = map[string]string{AnnotationClass: string(made)}
	labels := databaseMeta(r, d).Labels
	labels[labelInstance] = meta.Name

	container := k.container(CredentialsName(r.Line.App, d), class.Storage != "")
	container.Name, container.Image = label(d.Type), class.Image
	container.Ports = []corev1.ContainerPort{{Name: portDatabase, ContainerPort: k.port, Protocol: corev1.ProtocolTCP}}
	container.Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
	}
	container.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: databaseData}}
	container.ReadinessProbe.PeriodSeconds, container.ReadinessProbe.TimeoutSeconds = databaseProbeSeconds, databaseProbeTimeout
	return &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas:             new(int32(1)),
			RevisionHistoryLimit: new(int32(0)), // there is no way back for data
			Selector:             &metav1.LabelSelector{MatchLabels: databaseSelector(r, d)},
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}, // never two on the same data
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers:                   []corev1.Container{container},
				Volumes:                      []corev1.Volume{{Name: "data", VolumeSource: dataOf(meta.Name, class)}},
				AutomountServiceAccountToken: new(false),
				EnableServiceLinks:           new(false),
				SecurityContext:              &k.security,
			}},
		},
	}, nil
}

func dataOf(claim string, class agent.DatabaseClass) corev1.VolumeSource {
	if class.Storage != "" {
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}
	}
	limit := resource.MustParse(emptyData)
	return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}}
}

// DatabaseClaim is the volume of a database; nil if its class has none. It is made
// once, and goes with its namespace.
func DatabaseClaim(r agent.Release, d spec.Database, class agent.DatabaseClass) (*corev1.PersistentVolumeClaim, error) {
	if class.Storage == "" {
		return nil, nil
	}
	size, err := resource.ParseQuantity(class.Storage)
	if err != nil {
		return nil, fmt.Errorf("database %q: reading storage %q: %w", d.Name, class.Storage, err)
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: databaseMeta(r, d),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}
	if class.StorageClass != "" {
		claim.Spec.StorageClassName = &class.StorageClass
	}
	return claim, nil
}

func (k *kind) service(r agent.Release, d spec.Database) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: databaseMeta(r, d),
		Spec: corev1.ServiceSpec{
			Selector: databaseSelector(r, d),
			Ports:    []corev1.ServicePort{{Name: portDatabase, Port: k.port, TargetPort: intstr.FromString(portDatabase), Protocol: corev1.ProtocolTCP}},
		},
	}
}

// policy lets in the pods of the app itself, of all those in its namespace, and the
// Job that fills the database.
func (k *kind) policy(r agent.Release, d spec.Database, p Platform) *networkingv1.NetworkPolicy {
	port, tcp := intstr.FromString(portDatabase), corev1.ProtocolTCP
	from := []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{LabelApp: label(r.Line.App)}}}}
	if p.CloneFrom != "" {
		from = append(from, networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.CloneFrom}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{LabelTask: TaskClone, LabelPreview: p.Preview}},
		})
	}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: databaseMeta(r, d),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: databaseSelector(r, d)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: from, Ports: []networkingv1.NetworkPolicyPort{{Port: &port, Protocol: &tcp}}}},
		},
	}
}
