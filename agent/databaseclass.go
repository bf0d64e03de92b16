package agent

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// versionSlot stands in the image of a DatabaseClass for what the app asks for.
const versionSlot = "{version}"

// The types of database that a preview can have; see spec.Database.
const (
	postgresType = "postgres"
	redisType    = "redis"
)

// Class is what the database d is made of, its image and version filled in. The error
// is for the developer: it says what the platform owner has no word for.
func (p PreviewPolicy) Class(d spec.Database) (DatabaseClass, error) {
	class := p.class(d.Type)
	if class == nil {
		return DatabaseClass{}, fmt.Errorf("the platform has no databases of type %s for previews: the platform owner says spec.previews.databases.%s in the App, or it goes from inhaul.yaml", d.Type, d.Type)
	}
	named := strings.Contains(class.Image, versionSlot)
	switch {
	case d.Version != "" && !named && d.Version != class.Version:
		return DatabaseClass{}, fmt.Errorf("version %s is asked for, and the platform has one image of %s, without a choice of versions: take version out of inhaul.yaml, or the platform owner puts %s into spec.previews.databases.%s.image of the App", d.Version, d.Type, versionSlot, d.Type)
	case d.Version == "" && class.Version == "" && named:
		return DatabaseClass{}, fmt.Errorf("no version is asked for, and the platform names none: say version in inhaul.yaml, or the platform owner says spec.previews.databases.%s.version in the App", d.Type)
	}
	made := *class
	made.Version = cmp.Or(d.Version, class.Version)
	made.Image = strings.ReplaceAll(class.Image, versionSlot, made.Version)
	return made, nil
}

func (p PreviewPolicy) class(kind string) *DatabaseClass {
	switch kind {
	case postgresType:
		return p.Postgres
	case redisType:
		return p.Redis
	}
	return nil
}

// judgeDatabases says whether the environment can have the app's databases; nil if it
// can. Only that of a preview has any.
func (p Policy) judgeDatabases(app *spec.App, environment Environment) *Denied {
	if app == nil {
		return nil
	}
	for _, d := range app.Databases {
		denied := &Denied{Rule: "policy: databases", Field: fmt.Sprintf("database %q", d.Name), Got: strings.TrimSpace(d.Type + " " + d.Version)}
		if environment.PullRequest == 0 {
			denied.Want = "none: environments other than previews have no databases"
			denied.Next = "give the variable a value in secrets"
			return denied
		}
		if p.app.PreviewPolicy == nil {
			continue // judged elsewhere: there are no previews at all
		}
		if _, err := p.app.PreviewPolicy.Class(d); err != nil {
			denied.Want, denied.Next = p.app.PreviewPolicy.kinds(), err.Error()
			return denied
		}
	}
	return nil
}

// kinds are the databases that a preview can have, in words.
func (p PreviewPolicy) kinds() string {
	var all []string
	for _, kind := range []string{postgresType, redisType} {
		class := p.class(kind)
		switch {
		case class == nil:
		case strings.Contains(class.Image, versionSlot) && class.Version == "":
			all = append(all, kind+" with a version")
		case strings.Contains(class.Image, versionSlot):
			all = append(all, kind+" of any version")
		default:
			all = append(all, strings.TrimSpace(kind+" "+class.Version))
		}
	}
	if len(all) == 0 {
		return "none: the App has no spec.previews.databases"
	}
	return "one of: " + strings.Join(all, ", ")
}
