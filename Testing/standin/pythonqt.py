"""PythonQt's manners on top of PySide6 classes (stand-in).

PythonQt reads ``label.text`` and writes ``label.text = "x"`` beside ``label.setText("x")``, connects by signature,
``button.connect("clicked(bool)", f)``, and refuses attributes that a C++ object does not have.
"""

from __future__ import annotations

import re
import types

from PySide6 import QtCore

# Qt asks Python for these while it computes the property of the same name: as properties they would never return.
_VIRTUAL_GETTERS = {"sizeHint", "minimumSizeHint"}
_VIRTUAL_GETTERS_OF = {"QProgressBar": {"text"}}
_MRML_POINTERS = re.compile(r"vtkMRML(Node|Scene)\*")


class _Type(type(QtCore.QObject)):
    """Makes ``isinstance(button, qt.QWidget)`` true although both are subclasses made here."""

    def __instancecheck__(cls, instance: object) -> bool:
        native = cls.__dict__.get("_native")
        return isinstance(instance, native) if native else super().__instancecheck__(instance)


class _Manners:
    """What a QObject is to Python code in Slicer."""

    _properties: frozenset[str] = frozenset()

    def __getattribute__(self, name: str):
        get = super().__getattribute__
        if name.startswith("_"):
            return get(name)
        if name == "name":
            return get("property")("objectName")
        if name in get("_properties"):
            return get("property")(name)
        if name in _SUBSTITUTES:
            return types.MethodType(_SUBSTITUTES[name], self)
        return get(name)

    def __setattr__(self, name: str, value: object) -> None:
        name = "objectName" if name == "name" else name
        if _is_named_child(value, name) and _is_cpp(self):
            return  # PySide6's loader hands the children to the root as attributes, Slicer's does not
        if name in self._properties:
            if not self.setProperty(name, value):
                raise AttributeError(f"property {name} of {self.className()} does not take {value!r}")
        elif _is_cpp(self) and not name.startswith("_") and not _declares(self, name):
            raise AttributeError(f"{self.className()} has no property {name}")
        else:
            super().__setattr__(name, value)


def _is_cpp(instance: object) -> bool:
    """True for what is a C++ object in Slicer (here: of a class of the stand-in), false for Python subclasses."""
    return type(instance).__module__.startswith("standin.")


def _declares(instance: object, name: str) -> bool:
    return isinstance(getattr(type(instance), name, None), QtCore.Property)


def _is_named_child(value: object, name: str) -> bool:
    return isinstance(value, QtCore.QObject) and value.property("objectName") == name


def _signal(sender: QtCore.QObject, signature: str) -> bytes:
    """The signal in the notation of QObject.connect; AttributeError if the sender does not have it."""
    wanted = _MRML_POINTERS.sub("PyObject", QtCore.QMetaObject.normalizedSignature(signature).data().decode())
    if sender.metaObject().indexOfSignal(wanted) < 0:
        raise AttributeError(f"{sender.className()} has no signal {signature}")
    return QtCore.SIGNAL(wanted)


def _slot(receiver: object, slot: str | None):
    return receiver if slot is None else getattr(receiver, slot.partition("(")[0])


def _connect(self, signature: str, receiver: object, slot: str | None = None) -> bool:
    QtCore.QObject.connect(self, _signal(self, signature), _slot(receiver, slot))
    return True


def _disconnect(self, signature: str, receiver: object, slot: str | None = None) -> bool:
    return QtCore.QObject.disconnect(self, _signal(self, signature), _slot(receiver, slot))


def _class_name(self) -> str:
    return type(self).__name__


_SUBSTITUTES = {"connect": _connect, "disconnect": _disconnect, "className": _class_name}


def with_manners(native: type) -> type:
    """A subclass of the PySide6 class ``native``, of the same name, that behaves as PythonQt's."""
    meta = native.staticMetaObject
    properties = {meta.property(index).name() for index in range(meta.propertyCount())} - _VIRTUAL_GETTERS
    properties -= _VIRTUAL_GETTERS_OF.get(native.__name__, set())
    members = {"_native": native, "_properties": frozenset(properties), "__module__": __name__}
    return _Type(native.__name__, (_Manners, native), members)


def field(kind: type | str, name: str, on_change: str | None = None) -> QtCore.Property:
    """A property of a stand-in class, kept in the attribute ``_name``; ``on_change`` is called after it was set."""

    def write(self, value: object) -> None:
        setattr(self, f"_{name}", value)
        if on_change:
            getattr(self, on_change)()

    return QtCore.Property(kind, lambda self: getattr(self, f"_{name}"), write)


def with_setters(cls: type) -> type:
    """Class decorator: ``setNodeTypes(value)`` beside ``nodeTypes = value``, for every property declared in ``cls``."""
    for name, member in list(vars(cls).items()):
        setter = f"set{name[0].upper()}{name[1:]}"
        if isinstance(member, QtCore.Property) and setter not in vars(cls):
            setattr(cls, setter, lambda self, value, name=name: setattr(self, name, value))
    return cls
