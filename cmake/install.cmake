# cmake --install: headers, both libraries, the command, recipes, a pkg-config file and a CMake package.
#
# The CMake package has two targets: gradus::gradus (shared) and gradus::gradus_static, which needs the -dev packages of what
# the library uses; with `pkg-config --static` it is the same.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gradus)

install(DIRECTORY include/gradus DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/gradus/recipes FILES_MATCHING PATTERN "*.yaml")
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(TARGETS gradus_shared EXPORT gradusTargets DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS gradus_static EXPORT gradusStaticTargets DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT gradusTargets NAMESPACE gradus:: DESTINATION ${package_dir})
install(EXPORT gradusStaticTargets NAMESPACE gradus:: DESTINATION ${package_dir})
if(TARGET gradus)
    install(TARGETS gradus DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(cmake/gradusConfig.cmake.in gradusConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(gradusConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/gradusConfig.cmake ${CMAKE_BINARY_DIR}/gradusConfigVersion.cmake DESTINATION ${package_dir})

# pkg-config wants folders below its prefix as ${prefix}/..., others as they are.
foreach(kind LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
        set(pc_${kind} "${CMAKE_INSTALL_${kind}}")
    else()
        set(pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
    endif()
endforeach()
set(pc_dnnl "")
if(GRADUS_DNNL)
    set(pc_dnnl "-ldnnl ")
endif()
# The prefix is relative to the file itself, so that `cmake --install build --prefix DIR` is right for any DIR.
file(RELATIVE_PATH pc_up "/p/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/p")
configure_file(cmake/gradus.pc.in gradus.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/gradus.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
