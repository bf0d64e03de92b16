package cli

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// registry is how a workflow gets at a registry.
type registry struct {
	Kind         string // ecr, ghcr, other or none
	Host         string
	Region, Role string // of ecr
}

// The kinds of registries.
const (
	ecr   = "ecr"
	ghcr  = "ghcr"
	other = "other"
	none  = "none"
)

// ecrHost is a private registry of Amazon's: account and region.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
var ecrHost = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)$`)

// images is where images are kept, and how workflows log in there.
func (o initCommand) images(s setup) (string, registry, error) {
	image := cmp.Or(strings.TrimSuffix(o.ImageRepository, "/"), strings.ToLower("ghcr.io/"+s.Repository))
	host, name, ok := strings.Cut(image, "/")
	if !ok || name == "" || !strings.ContainsAny(host, ".:") && host != "localhost" || !word(image) || strings.Contains(name, ":") || image != strings.ToLower(image) {
		return "", registry{}, &fault{
			what: "--image-repository is no repository of images", why: fmt.Sprintf("got %q, want it with its registry, in lower case and without a tag", image),
			next: "give one such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/" + s.Apps[0],
		}
	}
	r := registry{Kind: o.Registry, Host: host}
	found := ecrHost.FindStringSubmatch(host)
	if r.Kind == "auto" || r.Kind == "" {
		switch {
		case found != nil:
			r.Kind = ecr
		case host == "ghcr.io":
			r.Kind = ghcr
		default:
			r.Kind = other
		}
	}
	if r.Kind != ecr {
		return image, r, nil
	}
	if found == nil {
		return "", r, &fault{what: "--registry ecr is not where images are kept", why: fmt.Sprintf("got the registry %q, want ACCOUNT.dkr.ecr.REGION.amazonaws.com", host), next: "correct --image-repository, or leave out --registry"}
	}
	partition := "aws"
	if strings.HasSuffix(host, ".cn") {
		partition = "aws-cn"
	}
	r.Region, r.Role = found[2], cmp.Or(o.AWSRole, fmt.Sprintf("arn:%s:iam::%s:role/%s-push", partition, found[1], path.Base(image)))
	if !word(r.Role) {
		return "", r, &fault{what: "--aws-role is no role", why: fmt.Sprintf("got %q", r.Role), next: "give its ARN"}
	}
	return image, r, nil
}

// prepare is what there has to be before the first push; empty if that is
// nothing.
func (s setup) prepare(skipped []string) string {
	var todo []string
	todo = append(todo, s.lacks...)
	if len(skipped) == len(s.files()) {
		return strings.Join(todo, "\n")
	}
	switch s.Registry.Kind {
	case ecr:
		todo = append(todo, fmt.Sprintf("let %s trust %s and push to %s and to %s-intents", s.Registry.Role, s.Repository, s.Image, s.Image))
		if s.Split {
			todo = append(todo, "set the secrets of the build, which may push to the first alone: gh secret set AWS_ACCESS_KEY_ID; gh secret set AWS_SECRET_ACCESS_KEY")
		}
	case other:
		todo = append(todo, fmt.Sprintf("gh secret set REGISTRY_USERNAME; gh secret set REGISTRY_PASSWORD # of %s", s.Registry.Host))
	}
	return strings.Join(todo, "\n")
}
