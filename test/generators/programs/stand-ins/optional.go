// Package optional stands in for github.com/antihax/optional, the one package of the generated Go client that Debian
// does not have. It has what the client uses.
package optional

type Int32 struct {
	isSet bool
	value int32
}

func NewInt32(value int32) Int32  { return Int32{true, value} }
func (i Int32) IsSet() bool       { return i.isSet }
func (i Int32) Value() int32      { return i.value }

type String struct {
	isSet bool
	value string
}

func NewString(value string) String { return String{true, value} }
func (s String) IsSet() bool        { return s.isSet }
func (s String) Value() string      { return s.value }

type Bool struct {
	isSet bool
	value bool
}

func NewBool(value bool) Bool { return Bool{true, value} }
func (b Bool) IsSet() bool    { return b.isSet }
func (b Bool) Value() bool    { return b.value }

type Interface struct {
	isSet bool
	value interface{}
}

func NewInterface(value interface{}) Interface { return Interface{true, value} }
func (i Interface) IsSet() bool                { return i.isSet }
func (i Interface) Value() interface{}         { return i.value }
