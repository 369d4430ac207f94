package main

import (
	"encoding"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/helper"
)

// Types whose form in YAML their fields don't tell.
var scalars = map[reflect.Type]string{
	reflect.TypeFor[component.ID]():        "id",
	reflect.TypeFor[configopaque.String](): "secret",
	reflect.TypeFor[helper.ByteSize]():     "bytes",
	reflect.TypeFor[model.Duration]():      "duration",
	reflect.TypeFor[time.Duration]():       "duration",
}

// The same of Prometheus, by names, as their packages are no matter of ours.
var prometheusForms = map[string]func() *key{
	"config.Headers":   func() *key { return &key{values: scalar("any")} },
	"config.Secret":    func() *key { return scalar("secret") },
	"config.URL":       func() *key { return scalar("string") },
	"labels.Labels":    func() *key { return &key{values: scalar("string")} },
	"relabel.Regexp":   func() *key { return scalar("string") },
	"units.Base2Bytes": func() *key { return scalar("bytes") },
}

// Configurations of Prometheus within the Collector's, which are read by their YAML tags.
var prometheusTypes = map[string]bool{"PromConfig": true, "PromHTTPClientConfig": true, "PromHTTPSDConfig": true}

// Names of scalars whose defaults are written down.
var withDefault = map[string]bool{
	"enabled": true, "endpoint": true, "max_elapsed_time": true, "routing_key": true, "transport": true,
}

// Below these `enabled` has a default for each of hundreds of metrics and attributes.
var withoutDefaults = map[string]bool{"events": true, "metrics": true, "resource_attributes": true}

// reflection tells the keys of a configuration from a value that holds its defaults.
type reflection struct {
	names []string
	// within are the types that enclose the present one: a type inside itself is not followed.
	within []reflect.Type
	// prometheus says that the present type is read by its YAML tags.
	prometheus bool
}

func (r *reflection) of(v reflect.Value) *key {
	t := v.Type()
	if kind, ok := scalars[t]; ok {
		return r.scalar(kind, v)
	}
	switch {
	case t == reflect.TypeFor[configopaque.MapList]():
		// A list of pairs, or a map.
		return &key{items: r.of(reflect.New(t.Elem()).Elem()), values: scalar("secret")}
	case t == reflect.TypeFor[operator.Config]():
		return r.operators()
	case isOptional(t):
		return r.optional(v)
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			v = reflect.New(t.Elem())
		}
		return r.of(v.Elem())
	case t.Kind() == reflect.Interface:
		if v.IsNil() {
			return scalar("any")
		}
		return r.of(copied(v.Elem()))
	case r.prometheus && prometheusForms[t.String()] != nil:
		return prometheusForms[t.String()]()
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return r.scalar("string", v)
	}
	switch t.Kind() {
	case reflect.Bool:
		return r.scalar("bool", v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return r.scalar("int", v)
	case reflect.Float32, reflect.Float64:
		return r.scalar("float", v)
	case reflect.String:
		return r.scalar("string", v)
	case reflect.Slice, reflect.Array:
		return &key{items: r.of(reflect.New(t.Elem()).Elem())}
	case reflect.Map:
		return r.mapping(t)
	case reflect.Struct:
		return r.structure(v)
	}
	panic(fmt.Sprintf("%s: a %s has no form in YAML", strings.Join(r.names, "."), t))
}

func (r *reflection) scalar(kind string, v reflect.Value) *key {
	k := scalar(kind)
	if v.IsZero() || len(r.names) == 0 || !withDefault[r.names[len(r.names)-1]] {
		return k
	}
	for _, name := range r.names {
		if withoutDefaults[name] {
			return k
		}
	}
	k.def = v.Interface()
	if duration, ok := k.def.(time.Duration); ok {
		k.def = duration.String()
	}
	return k
}

func (r *reflection) mapping(t reflect.Type) *key {
	k := &key{values: r.of(reflect.New(t.Elem()).Elem())}
	if t.Key() == reflect.TypeFor[pipeline.ID]() {
		k.sample = "traces"
	}
	return k
}

func (r *reflection) structure(v reflect.Value) *key {
	t := v.Type()
	for _, outer := range r.within {
		if outer == t {
			return scalar("any")
		}
	}
	before := *r
	r.within = append(r.within, t)
	r.prometheus = r.prometheus || prometheusTypes[t.Name()]
	defer func() { *r = before }()
	name, _, _ := strings.Cut(t.Name(), "[")
	k := &key{children: map[string]*key{}, goType: path.Base(t.PkgPath()) + "." + name}
	if r.prometheus && t.String() == "config.OAuth2" {
		k.required = map[string]any{"client_id": "a", "token_url": "a"}
	}
	r.fields(v, k)
	return k
}

func (r *reflection) fields(v reflect.Value, k *key) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, embedded, rest := r.tagged(field)
		switch {
		case embedded:
			r.embedded(v.Field(i), k)
		case !field.IsExported() || name == "-":
		case rest:
			k.unknown = taken
		case field.Name == "AdditionalProperties":
			// The declarative configuration's; nothing reads them.
		default:
			r.names = append(r.names, name)
			k.children[name] = r.of(v.Field(i))
			r.names = r.names[:len(r.names)-1]
		}
	}
}

// tagged reads a field's tag: its name, whether its own fields stand in its place, whether it takes what is unknown.
func (r *reflection) tagged(field reflect.StructField) (name string, embedded, rest bool) {
	tag, option, fallback := "mapstructure", "squash", field.Name
	if r.prometheus {
		tag, option, fallback = "yaml", "inline", strings.ToLower(field.Name)
	}
	name, options, _ := strings.Cut(field.Tag.Get(tag), ",")
	if name == "" {
		name = fallback
	}
	embedded = strings.Contains(options, option) && (field.IsExported() || field.Anonymous)
	rest = strings.Contains(options, "remain") && field.Name != "AdditionalProperties"
	if r.prometheus && embedded && field.Type.Kind() == reflect.Map {
		embedded, rest = false, true
	}
	return name, embedded, rest
}

func (r *reflection) embedded(v reflect.Value, k *key) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		v = v.Elem()
	}
	if isOptional(v.Type()) {
		merge(k, r.optional(v))
		return
	}
	r.fields(v, k)
}

// optional reads the value that holds once the key is given. All of them can be switched off in place, and `enabled`
// has a default where it is on without being given.
func (r *reflection) optional(v reflect.Value) *key {
	field, _ := v.Type().FieldByName("value")
	value := reflect.New(field.Type).Elem()
	if field.Type.Kind() == reflect.Struct {
		// On a copy, as it changes what it is called on.
		value = copied(v).Addr().MethodByName("GetOrInsertDefault").Call(nil)[0].Elem()
	}
	k := r.of(value)
	if k.children != nil && k.children["enabled"] == nil {
		k.children["enabled"] = scalar("bool")
		if v.MethodByName("HasValue").Call(nil)[0].Bool() {
			k.children["enabled"].def = true
		}
	}
	return k
}

// operators of the log receivers: a list of structures, each of which names its type.
func (r *reflection) operators() *key {
	for _, outer := range r.within {
		if outer == reflect.TypeFor[operator.Config]() {
			return scalar("any")
		}
	}
	before := *r
	r.within = append(r.within, reflect.TypeFor[operator.Config]())
	defer func() { *r = before }()
	k := &key{by: "type", variants: map[string]*key{}, goType: "operator.Config"}
	registered := reflect.ValueOf(operator.DefaultRegistry).Elem().FieldByName("operators")
	for _, name := range registered.MapKeys() {
		build, _ := operator.DefaultRegistry.Lookup(name.String())
		// An operator is read afresh wherever it stands.
		inner := reflection{within: []reflect.Type{reflect.TypeFor[operator.Config]()}}
		k.variants[name.String()] = inner.of(reflect.ValueOf(build()))
	}
	return k
}

func isOptional(t reflect.Type) bool {
	return t.PkgPath() == "go.opentelemetry.io/collector/config/configoptional" && strings.HasPrefix(t.Name(), "Optional[")
}

func copied(v reflect.Value) reflect.Value {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p.Elem()
}

func merge(into, from *key) {
	for name, child := range from.children {
		present := into.children[name]
		if present == nil {
			into.children[name] = child
		} else {
			merge(present, child)
		}
	}
	if into.items == nil {
		into.items = from.items
	} else if from.items != nil {
		merge(into.items, from.items)
	}
	if into.values == nil {
		into.values = from.values
	}
	if into.unknown == "" {
		into.unknown = from.unknown
	}
}
