package agent

import (
	"regexp"
	"time"
)

// quotation is what an error quotes: an image, a URL. It may have any words in it.
// wrapping is what the kubelet and containerd say before the error itself.
var (
	quotation = regexp.MustCompile(`\\?"[^"]*"`)
	wrapping  = regexp.MustCompile(`^(?:Back-off pulling image "[^"]*": |ErrImagePull: |rpc error: code = \w+ desc = |failed to pull and unpack image "[^"]*": |failed to resolve reference "[^"]*": |failed to do request: )+`)
)

// pullCause judges an image that does not come; see containerCause for certainAt.
//
// The words are those of containerd (core/remotes/docker/errors.go,
// core/images), of registries (the distribution specification's error codes) and
// of Go's network packages.
func (t trial) pullCause(pod PodObservation, c ContainerObservation) (known *Cause, certainAt time.Time) {
	kind, next, final := pullTrouble(c)
	trouble := "the image cannot be pulled: "
	if kind == CauseArchitecture {
		trouble = "the image is for another CPU than the node's: "
	}
	cause := t.of(pod, c, t.cause(kind, trouble+orElse(wrapping.ReplaceAllString(c.Message, ""), c.Waiting), next))
	switch {
	case final:
		return cause, time.Time{}
	case c.Waiting == "ErrImagePull" || c.Waiting == "RegistryUnavailable":
		return nil, time.Time{} // the kubelet's first try; ImagePullBackOff is its next word
	}
	return cause, pod.begun(t.since).Add(uncertainFor)
}

// nextArchitecture is what to do about an image for another CPU.
const nextArchitecture = "build the image for the CPU of the nodes: set platforms in the workflow (linux/amd64, linux/arm64, or both); kubectl get nodes -L kubernetes.io/arch shows what there is"

// pullTrouble tells what is wrong, what to do about it, and whether asking again
// cannot change it: a registry or the kubelet has given its answer. Anything else
// may be the network's fault.
func pullTrouble(c ContainerObservation) (kind CauseKind, next string, final bool) {
	text := quotation.ReplaceAllString(c.Message, "")
	const denied = "the registry does not let the nodes pull this image (many say so of one that is not there, too): " +
		"let the nodes' role, or a pull secret of the namespace's default service account, pull from the repository, and check its name"
	switch {
	case says(text, "no match for platform", "no matching manifest"):
		return CauseArchitecture, nextArchitecture, true
	case c.Waiting == "InvalidImageName" || says(text, "invalid reference"):
		return CauseImagePull, "the name of the image is not one that a registry can have: check image, or the repository of the workflow", true
	case c.Waiting == "ErrImageNeverPull":
		return CauseImagePull, "the cluster is told never to pull this image, and the node does not have it: ask the platform owner", true
	case c.Waiting == "SignatureValidationFailed":
		return CauseImagePull, "the nodes want a signature that this image does not have: ask the platform owner which", true
	case says(text, "unauthorized", "denied", "forbidden", "authorization failed", "authentication required", "no basic auth credentials"):
		return CauseImagePull, denied, true
	case says(text, "not found", "manifest unknown", "name unknown"):
		return CauseImagePull, "the registry has no such image: somebody or a lifecycle policy may have deleted it, so run the workflow again; check image if you name one", true
	case says(text, "toomanyrequests", "too many requests"):
		return CauseImagePull, "the registry limits how often the nodes may pull: wait and re-run the workflow, or let the nodes pull with credentials or through a mirror", false
	case says(text, "x509", "certificate", "server gave http response"):
		return CauseImagePull, "the nodes do not trust the registry's certificate, or it has none: ask the platform owner", false
	case says(text, "no such host", "server misbehaving", "i/o timeout", "connection refused", "connection reset", "no route to host", "network is unreachable", "tls handshake", "deadline exceeded", "eof"):
		return CauseImagePull, "the nodes do not reach the registry: a NAT gateway, a VPC endpoint, DNS or the registry itself may be down; re-run the workflow once it answers", false
	}
	return CauseImagePull, "check that the image exists in the registry, and that the nodes reach it and may pull it", false
}
